-- One row an arrival.
-- DISTKEY id: as many values as rows. SORTKEY day: a load replaces a range of days.
CREATE TABLE IF NOT EXISTS arrivals (
    arrival_id BIGINT IDENTITY(1, 1),
    id BIGINT NOT NULL,
    day DATE NOT NULL,
    airport VARCHAR(8) NOT NULL
)
DISTKEY (id)
SORTKEY (day);
