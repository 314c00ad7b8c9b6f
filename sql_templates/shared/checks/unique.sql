-- One row a key that is there more than once.
SELECT {{ columns | map("ident") | join(", ") }}, COUNT(*) AS rows_found
FROM {{ table | ident }}
GROUP BY {{ columns | map("ident") | join(", ") }}
HAVING COUNT(*) > 1;
