"""Temperature: the monthly means of the United States' states."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv
from sparkjobs.values import day, finite
from sparkjobs.writing import REASON, Counts, first_reason, fit, write_output

COLUMNS = ("dt", "AverageTemperature", "AverageTemperatureUncertainty", "State", "Country")
COUNTRY = "United States"


def run(
    spark: SparkSession, inputs: Sequence[str], target: str, rejected: str, window: tuple[str, str]
) -> Counts:
    """Write staging_landtemp's Parquet and return the counts.

    Rejected: `not_united_states`, `no_state`, `bad_date` and `no_value` (blank, or no finite number). Dates come
    as 1855-05-01 and as 5/1/1913 (month first: a spreadsheet rewrote the later half of the published file);
    either way `month` is the first day of the month. An uncertainty that is no number is null, and counted in
    `notes` as `bad_uncertainty`.
    """
    (uri,) = inputs
    notes: dict[str, int] = {}
    rows = read_csv(spark, uri, COLUMNS, notes=notes)
    rows = rows.withColumn("month", fn.trunc(day(fn.col("dt")), "month"))
    reason = first_reason(
        ("not_united_states", ~fn.coalesce(fn.col("Country") == COUNTRY, fn.lit(False))),
        ("no_state", fn.col("State").isNull()),
        ("bad_date", fn.col("month").isNull()),
        ("no_value", finite(fn.col("AverageTemperature")).isNull()),
    )
    uncertainty = fn.col("AverageTemperatureUncertainty")
    return write_output(
        uri,
        rows.withColumn(REASON, reason),
        _months,
        target,
        rejected,
        notes=notes,
        parsed={"bad_uncertainty": (uncertainty, finite(uncertainty))},
    )


def _months(rows: DataFrame) -> DataFrame:
    return rows.select(
        "month",
        fit(fn.col("State"), 64).alias("state"),
        finite(fn.col("AverageTemperature")).alias("averagetemperature"),
        finite(fn.col("AverageTemperatureUncertainty")).alias("averagetemperatureuncertainty"),
    )
