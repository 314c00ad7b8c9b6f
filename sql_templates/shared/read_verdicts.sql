SELECT verdicts
FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }} AND run_id = {{ run_id | literal }};
