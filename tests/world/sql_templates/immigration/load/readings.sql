-- Nothing but the rows: that none is there twice is the doing of shared/replace_window alone.
INSERT INTO readings (id, read_at)
SELECT id, read_at
FROM {{ schema | ident }}.staging_readings
WHERE read_at >= {{ window_start | literal }} AND read_at < {{ window_end | literal }};
