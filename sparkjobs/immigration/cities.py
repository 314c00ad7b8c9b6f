"""Cities: the demographics of each state, every city counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv
from sparkjobs.values import finite
from sparkjobs.writing import REASON, Counts, first_reason, fit, write_output

# What a column of figures is called in the warehouse.
FIGURES = {
    "Median Age": "medianage",
    "Male Population": "malepopulation",
    "Female Population": "femalepopulation",
    "Total Population": "totalpopulation",
    "Number of Veterans": "numberofveterans",
    "Foreign-born": "foreignborn",
    "Average Household Size": "averagehouseholdsize",
}
MEANS = ("Median Age", "Average Household Size")
COLUMNS = ("City", "State", *FIGURES, "State Code")
MAX_FIGURE = 1e11


def run(
    spark: SparkSession,
    inputs: Sequence[Sequence[str]],
    targets: Mapping[str, str],
    rejected: str,
    window: None,
) -> Counts:
    """Write staging_demography's Parquet, one row per state, and return the counts.

    The source has a row per city and race, each with the whole city's figures, which are the city's first
    (by value) where its rows differ. `read` counts the source's rows, `written` the states. Rejected:
    `no_state`, `bad_state_code` (not two letters), `no_city`. A figure that is blank or none (no number, negative, over
    10^11) counts as unknown: it is left out of sums and, with the city's weight, out of means; `notes` counts those
    that are not blank and none, by column: `bad_medianage`.
    """
    (source,) = inputs
    notes: dict[str, int] = {}
    rows = read_csv(spark, source, COLUMNS, delimiter=";", notes=notes)
    code = fn.col("State Code")
    reason = first_reason(
        ("no_state", code.isNull()),
        ("bad_state_code", ~code.rlike("^[A-Za-z]{2}$")),
        ("no_city", fn.col("City").isNull()),
    )
    return write_output(
        source,
        rows.withColumn(REASON, reason),
        _states,
        targets,
        rejected,
        notes=notes,
        parsed={f"bad_{column}": (fn.col(name), _figure(name)) for name, column in FIGURES.items()},
    )


def _figure(name: str) -> Column:
    """The column as a number that a city can have; else null. More does not fit into `_weighted_mean`'s decimals."""
    value = finite(fn.col(name), MAX_FIGURE)
    return fn.when(value >= 0, value)


def _states(rows: DataFrame) -> DataFrame:
    code = fn.upper("State Code").alias("code")
    figures = [fn.min(_figure(name)).alias(name) for name in FIGURES]
    cities = rows.groupBy(code, "City").agg(fn.min("State").alias("State"), *figures)
    states = cities.groupBy("code").agg(
        fn.min("State").alias("state"),
        *[
            (_weighted_mean(name) if name in MEANS else fn.sum(name).cast("bigint")).alias(column)
            for name, column in FIGURES.items()
        ],
    )
    names = fn.col("code").alias("statecode"), fit(fn.col("state"), 64).alias("state")
    return states.select(*names, *states.columns[2:]).sort("statecode")


def _weighted_mean(name: str) -> Column:
    """The mean over cities, each weighing as many people as live in it.

    Summed as decimals: a sum of doubles depends on the order in which Spark happens to add.
    """
    people = fn.when(fn.col(name).isNotNull(), fn.col("Total Population").cast("decimal(12,0)"))
    figure = fn.col(name).cast("decimal(16,4)")
    return fn.sum(figure * people).cast("double") / fn.sum(people).cast("double")
