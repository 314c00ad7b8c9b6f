-- The destinations of all arrivals, and the states of the newest survey, also those that no arrival has.
WITH destination AS (
    SELECT AddressTo AS addressto FROM factArrivetheUsa
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
    COALESCE(demography.statecode, without_city.statecode) AS StateCode,
    COALESCE(demography.state, without_city.state) AS State,
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
