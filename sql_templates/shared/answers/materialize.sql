-- The query is asked once, so that both files, the count and the rows that are shown are those of one answer.
-- A temporary table is there until its session ends, which may publish more than one answer.
DROP TABLE IF EXISTS {{ table | ident }};

CREATE TEMP TABLE {{ table | ident }} AS
{{ query }};
