-- One row for each state, in the order of the columns of the job `cities`.
-- DISTSTYLE ALL: only about fifty rows, joined once.
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
