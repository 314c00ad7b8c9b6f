-- Each load replaces the whole table, so that it depends on the facts and the newest survey alone, not on the order in
-- which windows were loaded.
DELETE FROM dimStateDestination;

INSERT INTO dimStateDestination (
    AddressTo, StateCode, State, MedianAge, MalePopulation, FemalePopulation,
    TotalPopulation, NumberOfVeterans, ForeignBorn, AverageHouseholdSize
)
WITH destination AS (
    SELECT addressto FROM {{ schema | ident }}.staging_immigration
    UNION
    SELECT AddressTo FROM factArrivetheUsa
    UNION
    SELECT statecode FROM {{ schema | ident }}.staging_demography
),
-- Postal codes of the states and territories of which the survey has no city.
without_city AS (
    SELECT CAST('AS' AS VARCHAR(2)) AS statecode, CAST('American Samoa' AS VARCHAR(64)) AS state
    UNION ALL SELECT 'GU', 'Guam'
    UNION ALL SELECT 'MP', 'Northern Mariana Islands'
    UNION ALL SELECT 'PR', 'Puerto Rico'
    UNION ALL SELECT 'VI', 'Virgin Islands'
    UNION ALL SELECT 'VT', 'Vermont'
    UNION ALL SELECT 'WV', 'West Virginia'
    UNION ALL SELECT 'WY', 'Wyoming'
)
SELECT
    destination.addressto,
    COALESCE(demography.statecode, without_city.statecode),
    COALESCE(demography.state, without_city.state),
    demography.medianage,
    demography.malepopulation,
    demography.femalepopulation,
    demography.totalpopulation,
    demography.numberofveterans,
    demography.foreignborn,
    demography.averagehouseholdsize
FROM destination
LEFT JOIN {{ schema | ident }}.staging_demography AS demography ON demography.statecode = destination.addressto
LEFT JOIN without_city ON without_city.statecode = destination.addressto
WHERE destination.addressto IS NOT NULL;
