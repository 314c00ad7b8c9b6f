-- One row for each port of entry that an arrival used, with the best airport of its city and state.
-- The key is portcode, the port's code in the arrivals: two states can share a city's name.
-- statecode is the port's own state; airport_code is the airport's ident. For a port without an airport the airport's
-- columns are null.
-- DISTSTYLE ALL: only a few hundred rows, so every node joins its own copy. SORTKEY: the column it is joined by.
CREATE TABLE IF NOT EXISTS dimAirport (
    airport_id BIGINT IDENTITY(1, 1),
    portcode VARCHAR(8) NOT NULL,
    airport_code VARCHAR(16),
    portOfEntryCity VARCHAR(64),
    gps_code VARCHAR(16),
    iata_code VARCHAR(16),
    local_code VARCHAR(16),
    name VARCHAR(256),
    type VARCHAR(32),
    iso_country VARCHAR(8),
    municipality VARCHAR(128),
    statecode VARCHAR(32),
    ElevationFt INT
)
DISTSTYLE ALL
SORTKEY (portcode);
