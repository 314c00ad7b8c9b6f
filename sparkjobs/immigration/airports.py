"""Airports: one row per `ident`, closed ones out."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv
from sparkjobs.writing import REASON, Counts, first_reason, fit, write_output

COLUMNS = (
    "ident",
    "type",
    "name",
    "elevation_ft",
    "iso_country",
    "iso_region",
    "municipality",
    "gps_code",
    "iata_code",
    "local_code",
)
SIZE_ORDER = ("large_airport", "medium_airport", "small_airport")
# ISO 3166 gives the territories country codes of their own, which are their postal state codes as well.
TERRITORIES = ("AS", "GU", "MP", "PR", "UM", "VI")


def run(
    spark: SparkSession, inputs: Sequence[str], target: str, rejected: str, window: tuple[str, str]
) -> Counts:
    """Write staging_airport's Parquet and return the counts; every window gets every airport.

    Rejected: `no_ident`; `closed`; `duplicate_ident`, all but one of the open airports that share an ident.
    The one that is kept is the larger (large, medium, small, any other), then the one with an IATA code, then
    the first by its columns' text in the order of COLUMNS, so that the order of the file does not matter.
    An elevation that is no number is null.
    """
    (uri,) = inputs
    rows = read_csv(spark, uri, COLUMNS)
    content = first_reason(
        ("no_ident", fn.col("ident").isNull()),
        ("closed", fn.lower("type").isin("closed", "closed_airport")),
    )
    candidates = rows.withColumn(REASON, content)
    best_first = Window.partitionBy("ident", REASON).orderBy(
        _size_rank(), fn.col("iata_code").isNull(), *COLUMNS
    )
    rank = fn.row_number().over(best_first)
    tagged = candidates.withColumn(
        REASON,
        fn.when(fn.col(REASON).isNull() & (rank > 1), fn.lit("duplicate_ident")).otherwise(fn.col(REASON)),
    )
    return write_output(uri, tagged, _airports, target, rejected)


def _size_rank() -> Column:
    chosen = fn.lit(len(SIZE_ORDER))
    for rank, kind in reversed(list(enumerate(SIZE_ORDER))):
        chosen = fn.when(fn.col("type") == kind, fn.lit(rank)).otherwise(chosen)
    return chosen


def _airports(rows: DataFrame) -> DataFrame:
    country = fn.upper("iso_country")
    region = fn.upper(fn.expr("substring(iso_region, instr(iso_region, '-') + 1)"))
    state = fn.when(country.isin(*TERRITORIES), country).otherwise(region)
    return rows.select(
        fit(fn.col("ident"), 16).alias("ident"),
        fit(fn.col("type"), 32).alias("type"),
        fit(fn.col("name"), 256).alias("name"),
        fn.col("elevation_ft").cast("double").cast("int").alias("elevationft"),
        fit(country, 8).alias("iso_country"),
        fit(state, 8).alias("statecode"),
        fit(fn.col("municipality"), 128).alias("municipality"),
        fit(fn.lower("municipality"), 128).alias("city"),
        fit(fn.col("gps_code"), 16).alias("gps_code"),
        fit(fn.col("iata_code"), 16).alias("iata_code"),
        fit(fn.col("local_code"), 16).alias("local_code"),
    )
