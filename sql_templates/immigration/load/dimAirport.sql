-- Made anew as a whole at each load, out of the ports in use and the newest list of airports.
-- A port's city and state come from the staged arrivals, and where it has none this time, from its row so far.
CREATE TEMPORARY TABLE port_in_use AS
SELECT portcode, MAX(portofentrycity) AS city, MAX(portstate) AS state
FROM {{ schema | ident }}.staging_immigration
GROUP BY portcode;

INSERT INTO port_in_use (portcode, city, state)
SELECT dimAirport.portcode, dimAirport.portOfEntryCity, dimAirport.statecode
FROM dimAirport
LEFT JOIN port_in_use ON port_in_use.portcode = dimAirport.portcode
WHERE port_in_use.portcode IS NULL;

DELETE FROM dimAirport;

-- The best airport: large before medium before small; then one with an IATA code before one without;
-- then by ident, which is unique. Other types (heliport, seaplane base) are no airports of entry.
-- A territory's airports carry the territory as their country and no state.
INSERT INTO dimAirport (
    portcode, airport_code, portOfEntryCity, gps_code, iata_code, local_code,
    name, type, iso_country, municipality, statecode, ElevationFt
)
WITH airport AS (
    SELECT
        ident, type, name, elevationft, iso_country, municipality, city, gps_code, iata_code, local_code,
        CASE
            WHEN iso_country = 'US' THEN statecode
            WHEN iso_country IN ('AS', 'GU', 'MP', 'PR', 'VI') THEN iso_country
        END AS state,
        CASE type WHEN 'large_airport' THEN 1 WHEN 'medium_airport' THEN 2 ELSE 3 END AS size_rank,
        CASE WHEN iata_code IS NULL OR iata_code IN ('', 'Nil') THEN 2 ELSE 1 END AS iata_rank
    FROM {{ schema | ident }}.staging_airport
    WHERE type IN ('large_airport', 'medium_airport', 'small_airport')
),
ranked AS (
    SELECT
        airport.*,
        ROW_NUMBER() OVER (PARTITION BY city, state ORDER BY size_rank, iata_rank, ident) AS place
    FROM airport
    WHERE state IS NOT NULL AND city IS NOT NULL
)
SELECT
    port_in_use.portcode, ranked.ident, port_in_use.city, ranked.gps_code, ranked.iata_code, ranked.local_code,
    ranked.name, ranked.type, ranked.iso_country, ranked.municipality, port_in_use.state, ranked.elevationft
FROM port_in_use
LEFT JOIN ranked ON ranked.city = port_in_use.city AND ranked.state = port_in_use.state AND ranked.place = 1;

DROP TABLE port_in_use;
