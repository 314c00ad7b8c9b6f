-- Through which ports of entry do travellers arrive, on how many days, and with how many airlines?
-- 'Nil' and codes with an asterisk (*GA: general aviation) are no airlines.
SELECT
    P.portcode,
    P.portOfEntryCity,
    P.statecode,
    P.name,
    P.iata_code,
    P.matchbasis,
    COUNT(*) AS arrivals,
    COUNT(DISTINCT F.arrivedate_id) AS days,
    COUNT(DISTINCT CASE WHEN T.airline <> 'Nil' AND T.airline NOT LIKE '*%' THEN T.airline END) AS airlines
FROM factArrivetheUsa AS F
JOIN dimAirport AS P ON P.portcode = F.portcode
JOIN dimTourist AS T ON T.Tourist_id = F.Tourist_id
GROUP BY P.portcode, P.portOfEntryCity, P.statecode, P.name, P.iata_code, P.matchbasis
ORDER BY arrivals DESC, P.portcode
LIMIT 20;
