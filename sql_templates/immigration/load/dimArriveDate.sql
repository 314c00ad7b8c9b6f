-- The dates of all arrivals, with the newest temperatures.
-- A month's temperature is the mean over the states that have one. The ten years are the last ten in which the
-- source has that calendar month; each year weighs the same, however many states it has.
WITH date_in_use AS (
    SELECT DISTINCT CAST(arrivedate_id AS DATE) AS arrivedate FROM factArrivetheUsa
),
us_month AS (
    SELECT
        CAST(EXTRACT(YEAR FROM landtemp.month) AS INT) AS year,
        CAST(EXTRACT(MONTH FROM landtemp.month) AS INT) AS month,
        AVG(landtemp.averagetemperature) AS temperature,
        AVG(landtemp.averagetemperatureuncertainty) AS uncertainty
    FROM {{ schema | ident }}.staging_landtemp AS landtemp
    GROUP BY 1, 2
),
recent AS (
    SELECT
        month, temperature, uncertainty,
        ROW_NUMBER() OVER (PARTITION BY month ORDER BY year DESC) AS years_back
    FROM us_month
),
ten_years AS (
    SELECT month, AVG(temperature) AS temperature, AVG(uncertainty) AS uncertainty
    FROM recent
    WHERE years_back <= 10
    GROUP BY month
),
calendar AS (
    SELECT
        TO_CHAR(arrivedate, 'YYYY-MM-DD') AS arrivedate_id,
        CAST(EXTRACT(YEAR FROM arrivedate) AS INT) AS year,
        CAST(EXTRACT(MONTH FROM arrivedate) AS INT) AS month,
        CAST(EXTRACT(DAY FROM arrivedate) AS INT) AS day,
        -- Redshift counts a week's days from 0, which is Sunday.
        (CAST(EXTRACT(DOW FROM arrivedate) AS INT) + 6) % 7 + 1 AS weekday,
        CAST(EXTRACT(WEEK FROM arrivedate) AS INT) AS week
    FROM date_in_use
)
SELECT
    calendar.arrivedate_id,
    calendar.year,
    calendar.month,
    calendar.day,
    calendar.weekday,
    calendar.week,
    CAST(COALESCE(us_month.temperature, ten_years.temperature) AS DECIMAL(9, 6)) AS AverageTemperature,
    CAST(
        CASE WHEN us_month.month IS NOT NULL THEN us_month.uncertainty ELSE ten_years.uncertainty END
        AS DECIMAL(9, 6)
    ) AS AverageTemperatureUncertainty,
    CASE
        WHEN us_month.month IS NOT NULL THEN 'month'
        WHEN ten_years.month IS NOT NULL THEN 'ten_year_mean'
    END AS temperaturebasis
FROM calendar
LEFT JOIN us_month ON us_month.year = calendar.year AND us_month.month = calendar.month
LEFT JOIN ten_years ON ten_years.month = calendar.month;
