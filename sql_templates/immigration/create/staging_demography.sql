-- One row a state, as the job `cities` writes them.
-- DISTSTYLE ALL: about fifty rows, joined once.
CREATE TABLE {{ schema | ident }}.staging_demography (
    statecode VARCHAR(2),
    state VARCHAR(64),
    medianage DOUBLE PRECISION,
    malepopulation BIGINT,
    femalepopulation BIGINT,
    totalpopulation BIGINT,
    numberofveterans BIGINT,
    foreignborn BIGINT,
    averagehouseholdsize DOUBLE PRECISION
)
DISTSTYLE ALL;
