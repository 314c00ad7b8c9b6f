-- Through which ports of entry do travellers arrive, on how many days, and with how many airlines?
SELECT
    P.portcode,
    P.portOfEntryCity,
    P.statecode,
    P.name,
    P.iata_code,
    COUNT(*) AS arrivals,
    COUNT(DISTINCT F.arrivedate_id) AS days,
    COUNT(DISTINCT T.airline) AS airlines
FROM factArrivetheUsa AS F
JOIN dimAirport AS P ON P.portcode = F.portcode
JOIN dimTourist AS T ON T.Tourist_id = F.Tourist_id
GROUP BY P.portcode, P.portOfEntryCity, P.statecode, P.name, P.iata_code
ORDER BY arrivals DESC, P.portcode
LIMIT 20;
