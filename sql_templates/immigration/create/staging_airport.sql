-- One row for each port of entry in the label file, with its airport, in the order of the columns of the job `airports`.
-- portcode is unique. Without an airport, matchbasis and all that follows it are null.
-- DISTSTYLE ALL: only a few hundred rows, joined once.
CREATE TABLE {{ schema | ident }}.staging_airport (
    portcode VARCHAR(8),
    portofentrycity VARCHAR(64),
    statecode VARCHAR(32),
    matchbasis VARCHAR(16),
    ident VARCHAR(16),
    type VARCHAR(32),
    name VARCHAR(256),
    elevationft INT,
    iso_country VARCHAR(8),
    municipality VARCHAR(128),
    gps_code VARCHAR(16),
    iata_code VARCHAR(16),
    local_code VARCHAR(16)
)
DISTSTYLE ALL;
