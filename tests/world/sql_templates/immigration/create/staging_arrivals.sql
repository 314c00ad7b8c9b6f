-- The arrivals of the run's window, column by column as the stand-in job writes them.
-- DISTKEY id: as its fact.
CREATE TABLE {{ schema | ident }}.staging_arrivals (
    id BIGINT,
    day DATE,
    airport VARCHAR(8)
)
DISTKEY (id);
