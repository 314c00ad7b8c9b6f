-- How many travellers come through each airport?
SELECT airport AS code, COUNT(*) AS arrivals
FROM arrivals
GROUP BY airport
ORDER BY 2 DESC, airport;
