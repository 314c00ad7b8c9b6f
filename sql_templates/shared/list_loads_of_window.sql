-- The other runs' loads of this very window, the latest first: another output of one window is of another version of
-- the source or of the code.
SELECT run_id, manifests, pinned_at
FROM mayfly_loads
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id <> {{ run_id | literal }}
    AND window_start = {{ window_start | literal }}
    AND window_end = {{ window_end | literal }}
ORDER BY loaded_at DESC;
