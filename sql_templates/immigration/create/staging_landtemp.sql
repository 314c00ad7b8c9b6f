-- One row for each month and US state, in the order of the columns of the job `temperature`; months from 1743 on.
-- DISTSTYLE EVEN: it is only aggregated by month.
CREATE TABLE {{ schema | ident }}.staging_landtemp (
    month DATE,
    state VARCHAR(64),
    averagetemperature DOUBLE PRECISION,
    averagetemperatureuncertainty DOUBLE PRECISION
)
DISTSTYLE EVEN;
