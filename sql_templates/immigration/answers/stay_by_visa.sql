-- How long do travellers stay, by visa? Departures before the arrival are left out: they are errors in the source.
SELECT
    T.Visa,
    T.visatype,
    COUNT(*) AS stays,
    CAST(
        AVG(CAST(DATEDIFF(day, CAST(F.arrivedate_id AS DATE), F.departdate) AS DOUBLE PRECISION)) AS DECIMAL(9, 2)
    ) AS mean_days,
    MAX(DATEDIFF(day, CAST(F.arrivedate_id AS DATE), F.departdate)) AS longest_days
FROM factArrivetheUsa AS F
JOIN dimTourist AS T ON T.Tourist_id = F.Tourist_id
WHERE CAST(F.arrivedate_id AS DATE) <= F.departdate
GROUP BY T.Visa, T.visatype
ORDER BY stays DESC, T.Visa, T.visatype
LIMIT 20;
