-- The run's checks and answers are through, too: only then another run of the same content has nothing to do.
UPDATE mayfly_loads
SET finished = TRUE
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id = {{ run_id | literal }}
    AND batch = {{ batch | literal }};
