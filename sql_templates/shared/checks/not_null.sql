SELECT *
FROM {{ table | ident }}
WHERE {{ columns | map("ident") | join(" IS NULL OR ") }} IS NULL;
