"""Temperature: the monthly means of the United States' states."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv
from sparkjobs.writing import REASON, Counts, first_reason, fit, write_output

COLUMNS = ("dt", "AverageTemperature", "AverageTemperatureUncertainty", "State", "Country")
COUNTRY = "United States"


def run(
    spark: SparkSession, inputs: Sequence[str], target: str, rejected: str, window: tuple[str, str]
) -> Counts:
    """Write staging_landtemp's Parquet and return the counts.

    Rejected: `not_united_states`, `no_state`, `bad_date` and `no_value` (blank, or no number). Dates come as
    1855-05-01 and as 5/1/1913 (month first: a spreadsheet rewrote the later half of the published file);
    either way `month` is the first day of the month. An uncertainty that is no number is null.
    """
    (uri,) = inputs
    rows = read_csv(spark, uri, COLUMNS).withColumn("month", _month())
    reason = first_reason(
        ("not_united_states", ~fn.coalesce(fn.col("Country") == COUNTRY, fn.lit(False))),
        ("no_state", fn.col("State").isNull()),
        ("bad_date", fn.col("month").isNull()),
        ("no_value", fn.col("AverageTemperature").cast("double").isNull()),
    )
    return write_output(uri, rows.withColumn(REASON, reason), _months, target, rejected)


def _month() -> Column:
    """The first of dt's month, in either of its two forms; null where it is neither."""
    american = fn.split("dt", "/")
    year, month, day = american[2].cast("int"), american[0].cast("int"), american[1].cast("int")
    iso = fn.when(fn.col("dt").rlike(r"^\d{4}-\d{2}-\d{2}$"), fn.col("dt").cast("date"))
    spreadsheet = fn.when(fn.col("dt").rlike(r"^\d{1,2}/\d{1,2}/\d{4}$"), fn.make_date(year, month, day))
    return fn.trunc(fn.coalesce(iso, spreadsheet), "month")


def _months(rows: DataFrame) -> DataFrame:
    return rows.select(
        "month",
        fit(fn.col("State"), 64).alias("state"),
        fn.col("AverageTemperature").cast("double").alias("averagetemperature"),
        fn.col("AverageTemperatureUncertainty").cast("double").alias("averagetemperatureuncertainty"),
    )
