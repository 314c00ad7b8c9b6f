-- The loads of an output by whichever run, told by the hash of its manifest: for tables to which it may be added only once,
-- though the batch is another one by the files of other jobs.
SELECT manifests, table_rows
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }} AND manifests LIKE {{ containing | literal }};
