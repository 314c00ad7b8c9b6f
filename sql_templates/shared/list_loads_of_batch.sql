-- The loads of this very batch of source objects by whichever run, for tables to which it may be added only once.
SELECT table_rows
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }} AND batch = {{ batch | literal }};
