-- Nothing but the rows: that none is there twice is the doing of shared/load/replace_window alone.
SELECT id, day, airport
FROM {{ schema | ident }}.staging_arrivals;
