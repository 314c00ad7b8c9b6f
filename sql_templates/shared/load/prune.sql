DELETE FROM {{ table | ident }}
WHERE NOT EXISTS (
{{ referring | join("\n) AND NOT EXISTS (\n") }}
);
