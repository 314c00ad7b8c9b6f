-- One row for each airport that is open, in the order of the columns of the job `airports`.
-- DISTSTYLE EVEN: tens of thousands of rows, joined once to a few hundred ports.
CREATE TABLE {{ schema | ident }}.staging_airport (
    ident VARCHAR(16),
    type VARCHAR(32),
    name VARCHAR(256),
    elevationft INT,
    iso_country VARCHAR(8),
    statecode VARCHAR(8),
    municipality VARCHAR(128),
    city VARCHAR(128),
    gps_code VARCHAR(16),
    iata_code VARCHAR(16),
    local_code VARCHAR(16)
)
DISTSTYLE EVEN;
