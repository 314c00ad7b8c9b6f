-- The query is asked once, so that both files, the count and the rows that are shown are those of one answer.
CREATE TEMP TABLE {{ table | ident }} AS
{{ query }};
