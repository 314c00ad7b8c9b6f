SELECT window_start, window_end, manifests, table_rows, loaded_at
FROM mayfly_load_ledger
WHERE pipeline = {{ pipeline | literal }} AND run_id = {{ run_id | literal }};
