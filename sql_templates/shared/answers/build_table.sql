-- Beside the table of the run before, which readers read until the swap.
-- The new table has its columns and types from the SELECT: https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_AS.html
CREATE SCHEMA IF NOT EXISTS {{ schema | ident }};

CREATE TABLE {{ schema | ident }}.{{ new | ident }} AS
{{ query }};
