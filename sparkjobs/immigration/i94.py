"""The I94 source: its published columns, its two forms, and what disqualifies a row."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import CORRUPT, explain_read_errors, read_csv, refuse_missing

COLUMNS = (
    "cicid",
    "i94yr",
    "i94mon",
    "i94cit",
    "i94res",
    "i94port",
    "arrdate",
    "i94mode",
    "i94addr",
    "depdate",
    "i94bir",
    "i94visa",
    "count",
    "dtadfile",
    "visapost",
    "occup",
    "entdepa",
    "entdepd",
    "entdepu",
    "matflag",
    "biryear",
    "dtaddto",
    "gender",
    "insnum",
    "airline",
    "admnum",
    "fltno",
    "visatype",
)

# SAS counts days since 1960-01-01, this many before the Unix epoch.
SAS_EPOCH_DAYS = 3653
# The last SAS day that a warehouse takes: 9999-12-31.
LAST_SAS_DAY = 2936547
AIR = 1


def read_i94(spark: SparkSession, uri: str) -> DataFrame:
    """All rows, COLUMNS in their published order and types, and CORRUPT (null in Parquet).

    `uri` is a folder of Parquet, or a CSV. Raises ValueError naming the file, what is wrong with it and what to do.
    """
    if not uri.endswith("/"):
        return read_csv(spark, uri, COLUMNS)
    with explain_read_errors(uri):
        rows = spark.read.parquet(uri)
    names = {name.lower(): name for name in rows.columns}
    refuse_missing(uri, names, COLUMNS)
    return rows.select(
        *[fn.col(f"`{names[name]}`").alias(name) for name in COLUMNS],
        fn.lit(None).cast("string").alias(CORRUPT),
    )


def number(name: str) -> Column:
    """The column as a double; what is no number is null."""
    value = fn.col(name).cast("double")
    return fn.when(~fn.isnan(value), value)


def whole_number(name: str) -> Column:
    """The column as a bigint, fractions cut off; what is no number is null."""
    return number(name).cast("bigint")


def whole_number_text(name: str) -> Column:
    """The column's digits without a trailing .0, as text; what is no number stays as it is, but for NaN."""
    text = fn.trim(fn.col(name).cast("string"))
    return fn.coalesce(whole_number(name).cast("string"), fn.when(text != "NaN", text))


def sas_date(name: str) -> Column:
    """The column's SAS days as a date; null where that is no date between 1960 and 9999."""
    days = number(name)
    return fn.when(days.between(0, LAST_SAS_DAY), fn.date_from_unix_date(days.cast("int") - SAS_EPOCH_DAYS))


def is_unreadable(name: str, value: Column) -> Column:
    """Whether the column is filled, but `value`, which is parsed from it, is null. NaN counts as blank."""
    return value.isNull() & ~fn.trim(fn.col(name).cast("string")).isin("", "NaN")


def reasons() -> tuple[tuple[str, Column], ...]:
    """Why a row is rejected on its own account: (name, condition), of which the first true one counts.

    An unknown age is kept, as null: the arrival took place all the same.
    """
    cicid, mode = number("cicid"), number("i94mode")
    return (
        ("no_cicid", ~fn.coalesce(cicid == fn.floor(cicid), fn.lit(False))),
        ("bad_arrival_date", ~fn.coalesce(number("arrdate").between(0, LAST_SAS_DAY), fn.lit(False))),
        ("mode_missing", mode.isNull()),
        ("not_by_air", mode != AIR),
        ("age_negative", number("i94bir") < 0),
    )
