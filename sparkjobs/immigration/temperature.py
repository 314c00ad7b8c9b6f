"""Temperature: the monthly means of the United States' states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv
from sparkjobs.values import day, finite
from sparkjobs.writing import REASON, Counts, first_reason, fit, write_output

COLUMNS = ("dt", "AverageTemperature", "AverageTemperatureUncertainty", "State", "Country")
COUNTRY = "United States"
# Degrees Celsius, beyond which no mean of a month lies: WMO's records of single readings are -89.2 and 56.7
# (https://wmo.asu.edu, World Weather and Climate Extremes Archive). Programs write -9999 and the like for no value.
LIMIT = 100.0


def run(
    spark: SparkSession,
    inputs: Sequence[Sequence[str]],
    targets: Mapping[str, str],
    rejected: str,
    window: None,
) -> Counts:
    """Write staging_landtemp's Parquet and return the counts.

    Rejected: `not_united_states`, `no_state`, `bad_date`, `no_value` (blank, or no finite number) and
    `impossible_value` (beyond ±LIMIT). Dates come as 1855-05-01 and as 5/1/1913 (month first: a spreadsheet rewrote
    the later half of the published file). Each is the first day of its month: another day is a `bad_date`, as that of
    a file with the day first is. An uncertainty that is no number from 0 to LIMIT is null, and counted in `notes` as
    `bad_uncertainty`.
    """
    (source,) = inputs
    notes: dict[str, int] = {}
    rows = read_csv(spark, source, COLUMNS, notes=notes)
    rows = rows.withColumn("month", day(fn.col("dt")))
    value = finite(fn.col("AverageTemperature"))
    reason = first_reason(
        ("not_united_states", ~fn.coalesce(fn.col("Country") == COUNTRY, fn.lit(False))),
        ("no_state", fn.col("State").isNull()),
        ("bad_date", fn.col("month").isNull() | (fn.dayofmonth("month") != 1)),
        ("no_value", value.isNull()),
        ("impossible_value", ~value.between(-LIMIT, LIMIT)),
    )
    return write_output(
        source,
        rows.withColumn(REASON, reason),
        _months,
        targets,
        rejected,
        notes=notes,
        parsed={"bad_uncertainty": (fn.col("AverageTemperatureUncertainty"), _uncertainty())},
    )


def _months(rows: DataFrame) -> DataFrame:
    return rows.select(
        "month",
        fit(fn.col("State"), 64).alias("state"),
        finite(fn.col("AverageTemperature")).alias("averagetemperature"),
        _uncertainty().alias("averagetemperatureuncertainty"),
    )


def _uncertainty() -> Column:
    value = finite(fn.col("AverageTemperatureUncertainty"), LIMIT)
    return fn.when(value >= 0, value)
