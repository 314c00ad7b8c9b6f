-- Nothing but the rows: that none is there twice is the doing of shared/load/replace_window alone.
SELECT id, read_at
FROM {{ schema | ident }}.staging_readings;
