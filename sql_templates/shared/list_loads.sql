-- The pipeline's latest loads, for the copy of the ledger that outlives the warehouse. A load whose run was not through
-- has no code, so that nothing counts as held because of it.
SELECT run_id, window_start, window_end, manifests, CASE WHEN finished THEN code END AS code, loaded_at
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }}
ORDER BY loaded_at DESC
LIMIT {{ limit | literal }};
