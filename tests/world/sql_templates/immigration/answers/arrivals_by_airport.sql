-- Through which airports do travellers come?
SELECT airports.code, airports.city, COUNT(*) AS arrivals
FROM arrivals
JOIN airports ON airports.code = arrivals.airport
GROUP BY airports.code, airports.city
ORDER BY arrivals DESC, airports.code;
