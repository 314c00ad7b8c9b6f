-- The columns of these tables, where the names without a schema lead to:
-- https://docs.aws.amazon.com/redshift/latest/dg/r_PG_TABLE_DEF.html
SELECT tablename, "column", type, "notnull"
FROM pg_table_def
WHERE tablename IN {{ tables | literal }};
