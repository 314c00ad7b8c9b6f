DELETE FROM mayfly_load_ledger
WHERE pipeline = {{ pipeline | literal }} AND run_id = {{ run_id | literal }};

INSERT INTO mayfly_load_ledger
    (pipeline, run_id, window_start, window_end, manifests, table_rows, loaded_at)
VALUES (
    {{ pipeline | literal }},
    {{ run_id | literal }},
    {{ window_start | literal }},
    {{ window_end | literal }},
    {{ manifests | literal }},
    {{ table_rows | literal }},
    GETDATE()
);
