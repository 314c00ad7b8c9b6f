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
-- Only the United States and their territories: Alagoas in Brazil is AL as well.
INSERT INTO dimAirport (
    portcode, airport_code, portOfEntryCity, gps_code, iata_code, local_code,
    name, type, iso_country, municipality, statecode, ElevationFt
)
WITH ranked AS (
    SELECT
        airport.*,
        ROW_NUMBER() OVER (
            PARTITION BY city, statecode
            ORDER BY
                CASE type WHEN 'large_airport' THEN 1 WHEN 'medium_airport' THEN 2 ELSE 3 END,
                CASE WHEN iata_code IS NULL THEN 2 ELSE 1 END,
                ident
        ) AS place
    FROM {{ schema | ident }}.staging_airport AS airport
    WHERE
        type IN ('large_airport', 'medium_airport', 'small_airport')
        AND iso_country IN ('US', 'AS', 'GU', 'MP', 'PR', 'UM', 'VI')
)
SELECT
    port_in_use.portcode, ranked.ident, port_in_use.city, ranked.gps_code, ranked.iata_code, ranked.local_code,
    ranked.name, ranked.type, ranked.iso_country, ranked.municipality, port_in_use.state, ranked.elevationft
FROM port_in_use
LEFT JOIN ranked ON ranked.city = port_in_use.city AND ranked.statecode = port_in_use.state AND ranked.place = 1;

DROP TABLE port_in_use;
