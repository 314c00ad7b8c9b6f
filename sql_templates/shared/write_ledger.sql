DELETE FROM mayfly_loads
WHERE pipeline = {{ pipeline | literal }} AND run_id = {{ run_id | literal }};

INSERT INTO mayfly_loads
    (pipeline, run_id, window_start, window_end, manifests, pinned_at, table_rows, verdicts, batch, code, loaded_at)
VALUES (
    {{ pipeline | literal }},
    {{ run_id | literal }},
    {{ window_start | literal }},
    {{ window_end | literal }},
    {{ manifests | literal }},
    {{ pinned_at | literal }},
    {{ table_rows | literal }},
    {{ verdicts | literal }},
    {{ batch | literal }},
    {{ code | literal }},
    GETDATE()
);
