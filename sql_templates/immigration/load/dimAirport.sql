-- Each load replaces the whole table, so that it depends on the facts and the newest lists of ports and airports alone,
-- not on the order in which windows were loaded.
DELETE FROM dimAirport;

-- A code that is no port of the label file has the city that its arrivals have: 'unknown (code)'.
INSERT INTO dimAirport (
    portcode, airport_code, portOfEntryCity, gps_code, iata_code, local_code,
    name, type, iso_country, municipality, statecode, ElevationFt, matchbasis
)
WITH arrival AS (
    SELECT portcode, portofentrycity FROM {{ schema | ident }}.staging_immigration
    UNION
    SELECT portcode, portOfEntryCity FROM factArrivetheUsa
),
port_in_use AS (
    SELECT portcode, MAX(portofentrycity) AS city
    FROM arrival
    GROUP BY portcode
)
SELECT
    port_in_use.portcode, port.ident, COALESCE(port.portofentrycity, port_in_use.city),
    port.gps_code, port.iata_code, port.local_code, port.name, port.type, port.iso_country, port.municipality,
    COALESCE(port.statecode, 'Nil'), port.elevationft, port.matchbasis
FROM port_in_use
LEFT JOIN {{ schema | ident }}.staging_airport AS port ON port.portcode = port_in_use.portcode;
