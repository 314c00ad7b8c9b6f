-- One row a month and US state, as the job `temperature` writes them; months from 1743 on.
-- DISTSTYLE EVEN: it is only ever summed up by month.
CREATE TABLE {{ schema | ident }}.staging_landtemp (
    month DATE,
    state VARCHAR(64),
    averagetemperature DOUBLE PRECISION,
    averagetemperatureuncertainty DOUBLE PRECISION
)
DISTSTYLE EVEN;
