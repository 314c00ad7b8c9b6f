-- The schema's tables, each with its comment, which says what it holds (mark_staging).
SELECT tables.relname, comments.description
FROM pg_class AS tables
INNER JOIN pg_namespace AS schemas ON tables.relnamespace = schemas.oid
LEFT JOIN pg_description AS comments ON tables.oid = comments.objoid AND comments.objsubid = 0
WHERE tables.relkind = 'r' AND schemas.nspname = {{ schema | literal }};
