-- The other runs' loads of other batches, of windows that share a moment with this one and are not the same, the latest
-- first. The outputs of a windowed job for two windows always differ, so the batch tells whether they are of another
-- version of the source. A load from before the ledger had the batch tells nothing: of NULL no comparison is true.
SELECT run_id, manifests, pinned_at
FROM mayfly_loads
WHERE
    pipeline = {{ pipeline | literal }}
    AND run_id <> {{ run_id | literal }}
    AND batch <> {{ batch | literal }}
    AND window_start < {{ window_end | literal }}
    AND window_end > {{ window_start | literal }}
    AND (window_start <> {{ window_start | literal }} OR window_end <> {{ window_end | literal }})
ORDER BY loaded_at DESC;
