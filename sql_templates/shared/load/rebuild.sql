-- DELETE, because TRUNCATE would commit: https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
DELETE FROM {{ table | ident }};

INSERT INTO {{ table | ident }} ({{ columns | map("ident") | join(", ") }})
SELECT {{ columns | map("ident") | join(", ") }}
FROM (
{{ select }}
) AS selected;
