-- The definition is that of the create template; one column a statement is all that Redshift takes:
-- https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
ALTER TABLE {{ table | ident }} ADD COLUMN {{ definition }};
