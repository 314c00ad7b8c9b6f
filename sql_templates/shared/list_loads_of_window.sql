-- The other runs' loads of this very window, the latest first. The output of a windowed job differs from window to
-- window, so loads of other windows do not tell whether it is of another version of the source.
SELECT run_id, manifests, pinned_at
FROM mayfly_loads
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id <> {{ run_id | literal }}
    AND window_start = {{ window_start | literal }}
    AND window_end = {{ window_end | literal }}
ORDER BY loaded_at DESC;
