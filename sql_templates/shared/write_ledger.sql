-- A run that loads another batch than before keeps the row of the earlier one, which says that it was loaded.
DELETE FROM mayfly_loads
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id = {{ run_id | literal }}
    AND (batch IS NULL OR batch = {{ batch | literal }});

INSERT INTO mayfly_loads
    (pipeline, run_id, window_start, window_end, manifests, pinned_at, table_rows, verdicts, loaded_at, batch, code)
VALUES (
    {{ pipeline | literal }},
    {{ run_id | literal }},
    {{ window_start | literal }},
    {{ window_end | literal }},
    {{ manifests | literal }},
    {{ pinned_at | literal }},
    {{ table_rows | literal }},
    {{ verdicts | literal }},
    GETDATE(),
    {{ batch | literal }},
    {{ code | literal }}
);
