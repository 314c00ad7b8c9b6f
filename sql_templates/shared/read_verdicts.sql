-- Of the run's latest load: one that loaded several batches has a row for each.
SELECT verdicts
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }} AND run_id = {{ run_id | literal }}
ORDER BY loaded_at DESC
LIMIT 1;
