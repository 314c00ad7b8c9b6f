-- One row an airport that an arrival used.
-- DISTSTYLE ALL: a handful of rows. SORTKEY: the key it is joined by.
CREATE TABLE IF NOT EXISTS airports (
    airport_id BIGINT IDENTITY(1, 1),
    code VARCHAR(8) NOT NULL,
    city VARCHAR(64)
)
DISTSTYLE ALL
SORTKEY (code);
