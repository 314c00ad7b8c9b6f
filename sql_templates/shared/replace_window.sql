-- Deletes the window's rows, whichever run loaded them, in the transaction that loads the window again.
-- DELETE, because TRUNCATE would commit: https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
DELETE FROM {{ table | ident }}
WHERE {{ column | ident }} >= {{ window_start | literal }} AND {{ column | ident }} < {{ window_end | literal }};
