-- One row for each date on which someone arrived.
-- weekday is ISO 8601's: 1 Monday to 7 Sunday. week is ISO 8601's week of the year: 1 to 53.
-- Temperatures are in degrees Celsius; DECIMAL, so that the mean of the same values is the same to the last digit
-- however many nodes compute it. temperaturebasis says what they are the mean of:
--   'month'          the US in that month of that year;
--   'ten_year_mean'  the US in that calendar month, over its last ten years in the source;
--   null             the source does not have that calendar month.
-- DISTSTYLE ALL: a few thousand rows at most. SORTKEY: the column it is joined by.
CREATE TABLE IF NOT EXISTS dimArriveDate (
    arrivedate_id VARCHAR(10) NOT NULL,
    year INT NOT NULL,
    month INT NOT NULL,
    day INT NOT NULL,
    weekday INT NOT NULL,
    week INT NOT NULL,
    AverageTemperature DECIMAL(9, 6),
    AverageTemperatureUncertainty DECIMAL(9, 6),
    temperaturebasis VARCHAR(16)
)
DISTSTYLE ALL
SORTKEY (arrivedate_id);
