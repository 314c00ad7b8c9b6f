-- Deletes the window's rows, whichever run loaded them, and inserts those of the window that came in.
-- DELETE, because TRUNCATE would commit: https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
DELETE FROM {{ table | ident }}
WHERE {{ column | ident }} >= {{ window_start | literal }} AND {{ column | ident }} < {{ window_end | literal }};

INSERT INTO {{ table | ident }} ({{ columns | map("ident") | join(", ") }})
SELECT {{ columns | map("ident") | join(", ") }}
FROM {{ schema | ident }}.mayfly_incoming
WHERE {{ column | ident }} >= {{ window_start | literal }} AND {{ column | ident }} < {{ window_end | literal }};
