INSERT INTO {{ table | ident }} ({{ columns | map("ident") | join(", ") }})
SELECT {{ columns | map("ident") | join(", ") }}
FROM (
{{ select }}
) AS selected;
