-- One row for each destination: every state in the survey, and whatever else travellers gave as their address.
-- DISTSTYLE ALL: only a few hundred rows, so every node joins its own copy. SORTKEY: the column it is joined by.
CREATE TABLE IF NOT EXISTS dimStateDestination (
    AddressTo VARCHAR(32) NOT NULL,
    StateCode VARCHAR(2),
    State VARCHAR(64),
    MedianAge DOUBLE PRECISION,
    MalePopulation BIGINT,
    FemalePopulation BIGINT,
    TotalPopulation BIGINT,
    NumberOfVeterans BIGINT,
    ForeignBorn BIGINT,
    AverageHouseholdSize DOUBLE PRECISION
)
DISTSTYLE ALL
SORTKEY (AddressTo);
