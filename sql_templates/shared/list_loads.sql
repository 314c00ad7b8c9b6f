-- The pipeline's latest loads, for the copy of the ledger that outlives the warehouse.
SELECT run_id, window_start, window_end, manifests, code, loaded_at
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }}
ORDER BY loaded_at DESC
LIMIT {{ limit | literal }};
