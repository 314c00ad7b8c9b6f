-- The tables' columns: https://docs.aws.amazon.com/redshift/latest/dg/r_PG_TABLE_DEF.html
SELECT tablename, "column", type, "notnull"
FROM pg_table_def
WHERE schemaname = 'public' AND tablename IN {{ tables | literal }};
