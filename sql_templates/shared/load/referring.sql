-- The rows that reference one of the table, for `prune`, which asks whether there are any.
SELECT 1
FROM {{ from_table | ident }} AS referring
WHERE referring.{{ column | ident }} = {{ table | ident }}.{{ to_column | ident }};
