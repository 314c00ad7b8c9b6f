-- One row an airport, used or not.
-- DISTSTYLE ALL: a handful of rows.
CREATE TABLE {{ schema | ident }}.staging_airports (
    code VARCHAR(8),
    city VARCHAR(64)
)
DISTSTYLE ALL;
