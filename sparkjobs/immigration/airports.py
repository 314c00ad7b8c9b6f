"""Airports: one row per `ident`, closed ones out."""

from pyspark.sql import Window
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv
from sparkjobs.writing import REASON, first_reason, fit, settle

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


def run(spark, inputs, target, rejected, window):
    """Write staging_airport's Parquet and return the counts.

    Rejected: `no_ident`; `closed`; `duplicate_ident`, all but one of the open airports that share an ident.
    The one that stays is the larger (large, medium, small, any other), then the one with an IATA code, then
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
    place = fn.row_number().over(best_first)
    tagged = candidates.withColumn(
        REASON,
        fn.when(fn.col(REASON).isNull() & (place > 1), fn.lit("duplicate_ident")).otherwise(fn.col(REASON)),
    )
    return settle(uri, tagged, _airports, target, rejected)


def _size_rank():
    rank = fn.lit(len(SIZE_ORDER))
    for place, kind in reversed(list(enumerate(SIZE_ORDER))):
        rank = fn.when(fn.col("type") == kind, fn.lit(place)).otherwise(rank)
    return rank


def _airports(rows):
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
