-- The ports of all arrivals, with the newest lists of ports and airports, whatever the order in which windows are loaded.
-- A code that is no port of the label file has the city that its arrivals have: 'unknown (code)'.
WITH port_in_use AS (
    SELECT portcode, MAX(portOfEntryCity) AS city
    FROM factArrivetheUsa
    GROUP BY portcode
)
SELECT
    port_in_use.portcode,
    port.ident AS airport_code,
    COALESCE(port.portofentrycity, port_in_use.city) AS portOfEntryCity,
    port.gps_code,
    port.iata_code,
    port.local_code,
    port.name,
    port.type,
    port.iso_country,
    port.municipality,
    COALESCE(port.statecode, 'Nil') AS statecode,
    port.elevationft,
    port.matchbasis
FROM port_in_use
LEFT JOIN {{ schema | ident }}.staging_airport AS port ON port.portcode = port_in_use.portcode;
