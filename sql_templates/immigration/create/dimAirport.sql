-- One row for each port of entry that an arrival used, with the airport of its arrivals.
-- The key is portcode, the port's code in the arrivals: it is CBP's, and no airport's IATA code.
-- portOfEntryCity and statecode are the port's own, by its label; airport_code is the airport's ident. For a port
-- without an airport the airport's columns are null. matchbasis says how the airport was found:
--   'curated'       by a short list of ports whose label does not lead to it;
--   'municipality'  the airport's municipality is the port's city;
--   'name'          the airport bears the name of the port's city;
--   'territory'     it is the largest airport of the port's territory;
--   null            there is none: the port has no label, or no airport served by an airline.
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
    ElevationFt INT,
    matchbasis VARCHAR(16)
)
DISTSTYLE ALL
SORTKEY (portcode);
