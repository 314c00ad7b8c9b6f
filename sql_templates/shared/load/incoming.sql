-- What the load's SELECT gives, in the types of the table, for the statements that use it more than once.
-- mayfly_came_in is 1 for these rows: `newest` adds rows of the table, which have 0.
-- In the run's own schema, and dropped before the commit (`drop_incoming`).
CREATE TABLE {{ schema | ident }}.mayfly_incoming AS
SELECT {{ columns | map("ident") | join(", ") }}, 1 AS mayfly_came_in
FROM {{ table | ident }}
WHERE 1 = 0;

INSERT INTO {{ schema | ident }}.mayfly_incoming ({{ columns | map("ident") | join(", ") }}, mayfly_came_in)
SELECT {{ columns | map("ident") | join(", ") }}, 1
FROM (
{{ select }}
) AS selected;
