-- The other runs' loads of windows that share a moment with this one, the latest first. The output of a partitioned job
-- is the same for all windows, so any of these loads tells whether it is of another version of the source.
SELECT run_id, manifests, pinned_at
FROM mayfly_loads
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id <> {{ run_id | literal }}
    AND window_start < {{ window_end | literal }}
    AND window_end > {{ window_start | literal }}
ORDER BY loaded_at DESC;
