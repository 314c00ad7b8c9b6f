-- One row a destination: every state of the survey, and whatever else travellers wrote as their address.
-- DISTSTYLE ALL: a few hundred rows, so that every node joins its own copy. SORTKEY: the key it is joined by.
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
