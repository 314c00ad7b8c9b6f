-- The pipeline's latest loads by other runs, whatever their window. A few are enough to compare an output with that does
-- not depend on the window: each of them was compared with those before it.
SELECT run_id, manifests, pinned_at
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }} AND run_id <> {{ run_id | literal }}
ORDER BY loaded_at DESC
LIMIT 20;
