-- The other runs' loads of a window that has a part in common with this one, the latest first.
SELECT run_id, manifests, pinned_at
FROM mayfly_loads
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id <> {{ run_id | literal }}
    AND window_start < {{ window_end | literal }}
    AND window_end > {{ window_start | literal }}
ORDER BY loaded_at DESC;
