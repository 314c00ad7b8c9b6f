-- Readings, column by column as the stand-in job writes them: more of them than the window's.
-- DISTKEY id: as its fact.
CREATE TABLE {{ schema | ident }}.staging_readings (
    id BIGINT,
    read_at TIMESTAMP
)
DISTKEY (id);
