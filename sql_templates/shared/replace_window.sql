-- What any run loaded for the window goes, in the transaction that loads it anew.
-- DELETE, since TRUNCATE would commit: https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
DELETE FROM {{ table | ident }}
WHERE {{ column | ident }} >= {{ window_start | literal }} AND {{ column | ident }} < {{ window_end | literal }};
