-- How long do travellers stay, by visa?
-- arrivals = stays, of which the days are, + open_stays, without a departure yet, + wrong_departures, before the
-- arrival: errors in the source.
SELECT
    T.Visa,
    T.visatype,
    COUNT(*) AS arrivals,
    COUNT(CASE WHEN CAST(F.arrivedate_id AS DATE) <= F.departdate THEN 1 END) AS stays,
    COUNT(CASE WHEN F.departdate IS NULL THEN 1 END) AS open_stays,
    COUNT(CASE WHEN CAST(F.arrivedate_id AS DATE) > F.departdate THEN 1 END) AS wrong_departures,
    CAST(
        AVG(
            CASE
                WHEN CAST(F.arrivedate_id AS DATE) <= F.departdate
                    THEN CAST(DATEDIFF(day, CAST(F.arrivedate_id AS DATE), F.departdate) AS DOUBLE PRECISION)
            END
        ) AS DECIMAL(9, 2)
    ) AS mean_days,
    MAX(
        CASE
            WHEN CAST(F.arrivedate_id AS DATE) <= F.departdate
                THEN DATEDIFF(day, CAST(F.arrivedate_id AS DATE), F.departdate)
        END
    ) AS longest_days
FROM factArrivetheUsa AS F
JOIN dimTourist AS T ON T.Tourist_id = F.Tourist_id
GROUP BY T.Visa, T.visatype
ORDER BY arrivals DESC, T.Visa, T.visatype;
