-- One row for each key that several rows have.
SELECT {{ columns | map("ident") | join(", ") }}, COUNT(*) AS rows_found
FROM {{ table | ident }}
GROUP BY {{ columns | map("ident") | join(", ") }}
HAVING COUNT(*) > 1;
