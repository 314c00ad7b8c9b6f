-- Each load replaces the whole table, from the ports in use and the newest list of airports.
-- A port's city and state come from the staged arrivals; for a port without staged arrivals, from its row so far.
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

-- A port's best airport: large before medium before small; then the one whose IATA code is the port's code (HOU is
-- Hobby, not another of Houston's airports); then one with an IATA code before one without; then by ident, which is
-- unique. Airports of other types (heliport, seaplane base) are not ports of entry.
-- Only the United States and its territories: AL is Alabama, but Alagoas in Brazil as well.
INSERT INTO dimAirport (
    portcode, airport_code, portOfEntryCity, gps_code, iata_code, local_code,
    name, type, iso_country, municipality, statecode, ElevationFt
)
WITH candidate AS (
    SELECT
        port_in_use.portcode,
        airport.ident, airport.gps_code, airport.iata_code, airport.local_code, airport.name, airport.type,
        airport.iso_country, airport.municipality, airport.elevationft,
        ROW_NUMBER() OVER (
            PARTITION BY port_in_use.portcode
            ORDER BY
                CASE airport.type WHEN 'large_airport' THEN 1 WHEN 'medium_airport' THEN 2 ELSE 3 END,
                CASE
                    WHEN airport.iata_code = port_in_use.portcode THEN 1
                    WHEN airport.iata_code IS NOT NULL THEN 2
                    ELSE 3
                END,
                airport.ident
        ) AS preference
    FROM port_in_use
    JOIN {{ schema | ident }}.staging_airport AS airport
        ON airport.city = port_in_use.city AND airport.statecode = port_in_use.state
    WHERE
        airport.type IN ('large_airport', 'medium_airport', 'small_airport')
        AND airport.iso_country IN ('US', 'AS', 'GU', 'MP', 'PR', 'UM', 'VI')
)
SELECT
    port_in_use.portcode, best.ident, port_in_use.city, best.gps_code, best.iata_code, best.local_code,
    best.name, best.type, best.iso_country, best.municipality, port_in_use.state, best.elevationft
FROM port_in_use
LEFT JOIN candidate AS best ON best.portcode = port_in_use.portcode AND best.preference = 1;

DROP TABLE port_in_use;
