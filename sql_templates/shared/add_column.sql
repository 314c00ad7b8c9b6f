-- One column a statement: https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
ALTER TABLE {{ table | ident }} ADD COLUMN {{ column | ident }} {{ definition }};
