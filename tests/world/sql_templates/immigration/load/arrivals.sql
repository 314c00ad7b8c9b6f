-- Nothing but the rows: that none is there twice is the doing of shared/replace_window alone.
INSERT INTO arrivals (id, day, airport)
SELECT id, day, airport
FROM {{ schema | ident }}.staging_arrivals
WHERE day >= {{ window_start | literal }} AND day < {{ window_end | literal }};
