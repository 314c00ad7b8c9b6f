-- One row a reading of a meter.
-- DISTKEY id: as many values as rows. SORTKEY read_at: a load replaces a stretch of time.
CREATE TABLE IF NOT EXISTS readings (
    id BIGINT NOT NULL,
    read_at TIMESTAMP NOT NULL
)
DISTKEY (id)
SORTKEY (read_at);
