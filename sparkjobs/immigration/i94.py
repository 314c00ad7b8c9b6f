"""The I94 source: its published columns, its two forms, a record's key, and what disqualifies a row."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.types import DateType, StringType, TimestampNTZType, TimestampType

from sparkjobs.reading import read_table
from sparkjobs.values import LARGEST_INT, LARGEST_WHOLE, finite, is_filled

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
NUMBERS = (
    "cicid",
    "i94yr",
    "i94mon",
    "i94cit",
    "i94res",
    "i94mode",
    "i94bir",
    "i94visa",
    "count",
    "biryear",
    "admnum",
)

# SAS counts days since 1960-01-01, this many before the Unix epoch.
SAS_EPOCH_DAYS = 3653
# The last SAS day that a warehouse takes: 9999-12-31.
LAST_SAS_DAY = 2936547
FIRST_YEAR, LAST_YEAR = 1960, 9999
# Every cicid is below this: the key has ten digits for it, the published ones have up to seven.
CICIDS = 10**10
AIR = 1

# What `with_values` adds.
TOURIST_ID, ARRIVED, DEPARTED = "tourist_id", "arrived", "departed"
ADDED = (TOURIST_ID, ARRIVED, DEPARTED)

UNDATED = "bad_arrival_date"

# SAS's own form of a date, DATE9: 03APR2016.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DATE9 = rf"^\d{{2}}({'|'.join(_MONTHS)})\d{{4}}$"
_ISO = r"^(\d{4}-\d{1,2}-\d{1,2})(?:[T ]\d.*)?$"


def read_i94(spark: SparkSession, uris: Sequence[str], notes: dict[str, int] | None = None) -> DataFrame:
    """All rows, COLUMNS in their published order and types, and CORRUPT.

    At `uris` is Parquet or CSV; `notes` gets what `read_table` has to tell. Raises BadInput naming the file, what is
    wrong with it and what to do.
    """
    return read_table(spark, uris, COLUMNS, notes=notes)


def with_values(rows: DataFrame) -> DataFrame:
    """`rows` with three columns that much depends on: TOURIST_ID, and ARRIVED and DEPARTED in SAS days."""
    return rows.withColumns(
        {
            TOURIST_ID: _tourist_id(),
            ARRIVED: _sas_days(rows, "arrdate"),
            DEPARTED: _sas_days(rows, "depdate"),
        }
    )


def _tourist_id() -> Column:
    """The record's key, a bigint: year and month of its file, then ten digits of cicid (2016040004084316).

    In the published data cicid begins anew in each monthly file, where i94yr and i94mon are the file's own: of one
    year's files, over 500 cicids are in all twelve. A record that a later upload of its file corrects keeps its key,
    whatever its date of arrival becomes. Of a row that `reasons` rejects the value means nothing.
    """
    file_month = number("i94yr") * 100 + number("i94mon")
    return file_month.cast("bigint") * CICIDS + whole_number("cicid")


def number(name: str, largest: int = LARGEST_WHOLE) -> Column:
    """The column as a double; what is no number, NaN, or beyond ±`largest` is null."""
    return finite(fn.col(name), largest)


def whole_number(name: str) -> Column:
    """The column as a bigint, fractions cut off; what is no number is null."""
    return number(name).cast("bigint")


def integer(name: str) -> Column:
    """The column as an int, fractions cut off; what is no number, or too large for an int, is null."""
    return number(name, LARGEST_INT).cast("int")


def whole_number_text(name: str) -> Column:
    """The column's digits without a trailing .0, as text; other text stays, but for NaN and Infinity."""
    text = fn.trim(fn.col(name).cast("string"))
    return fn.coalesce(
        whole_number(name).cast("string"), fn.when(~text.isin("NaN", "Infinity", "-Infinity"), text)
    )


def _sas_days(rows: DataFrame, name: str) -> Column:
    """The column's date in SAS days, as a number; null where it is no date between 1960 and 9999.

    As published it is a number of SAS days. Copies have it as a date or a timestamp, and as text: the number, a date
    of ISO 8601 (2016-04-03, or with a time of day, which is left out), or one of SAS's own form (03APR2016).
    """
    kind = rows.schema[name].dataType
    if isinstance(kind, (DateType, TimestampType, TimestampNTZType)):
        days = _days(fn.col(name))
    elif isinstance(kind, StringType):
        days = fn.coalesce(number(name), _days_of_text(fn.upper(fn.trim(name))))
    else:
        days = fn.col(name).cast("double")
    return fn.when(days.between(0, LAST_SAS_DAY), days)


def _days(day: Column) -> Column:
    return fn.unix_date(day.cast("date")) + SAS_EPOCH_DAYS


def _days_of_text(text: Column) -> Column:
    """SAS days of an upper-case text in ISO 8601 or DATE9; null where it is neither."""
    iso = fn.when(text.rlike(_ISO), fn.regexp_extract(text, _ISO, 1))
    month = fn.find_in_set(fn.substring(text, 3, 3), fn.lit(",".join(_MONTHS))).cast("string")
    date9 = fn.concat_ws("-", fn.substring(text, 6, 4), month, fn.substring(text, 1, 2))
    return _days(fn.coalesce(iso, fn.when(text.rlike(_DATE9), date9)))


def sas_date(days: str) -> Column:
    """The date of a column of SAS days."""
    return fn.date_from_unix_date(fn.col(days).cast("int") - SAS_EPOCH_DAYS)


def is_unreadable(name: str, value: Column) -> Column:
    """Whether the column is filled, but `value`, which is parsed from it, is null."""
    return value.isNull() & is_filled(fn.trim(fn.col(name).cast("string")))


def reasons() -> tuple[tuple[str, Column], ...]:
    """Why a row with values is rejected on its own account: (name, condition), of which the first true one counts.

    UNDATED comes first: such a row belongs to no day, whatever else is wrong with it.
    An unknown age is kept, as null: the arrival took place all the same.
    """
    cicid, mode = number("cicid"), number("i94mode")
    year, month = number("i94yr"), number("i94mon")
    return (
        (UNDATED, fn.col(ARRIVED).isNull()),
        ("no_cicid", _is_not(_is_whole(cicid) & (cicid >= 0) & (cicid < CICIDS))),
        (
            "no_file_month",
            _is_not(
                _is_whole(year)
                & year.between(FIRST_YEAR, LAST_YEAR)
                & _is_whole(month)
                & month.between(1, 12)
            ),
        ),
        ("mode_missing", mode.isNull()),
        ("not_by_air", mode != AIR),
        ("age_negative", number("i94bir") < 0),
    )


def _is_whole(value: Column) -> Column:
    return value == fn.floor(value)


def _is_not(condition: Column) -> Column:
    """Whether `condition` is false, or null because a value is missing."""
    return ~fn.coalesce(condition, fn.lit(False))


def with_order(rows: DataFrame) -> tuple[DataFrame, list[Column]]:
    """(`rows`, which have values, with columns to sort by; the order of those that share a key, the one to keep first).

    That is the one filed last, of those the one that departs last, of those the first by its columns as published.
    Columns are compared by value, so that both forms of the source give the same order: numbers in a CSV are text, of
    which "100" is before "61". What is no number in a CSV is compared as text. So it is an order of the rows alone,
    however Spark splits the source.
    """
    numbers = [number(name) for name in NUMBERS] + [fn.col(ARRIVED)]
    as_numbers = (*NUMBERS, "arrdate", "depdate")
    texts = [name for name in COLUMNS if name not in as_numbers]
    unreadable = [name for name in as_numbers if isinstance(rows.schema[name].dataType, StringType)]
    ordered = rows.withColumns(
        {
            "filed_number": number("dtadfile"),
            "filed": _filled("dtadfile"),
            "numbers": fn.array(*numbers),
            "texts": fn.array(*[_filled(name) for name in (*texts, *unreadable)]),
        }
    )
    last_first = [fn.desc_nulls_last(name) for name in ("filed_number", "filed", DEPARTED)]
    return ordered, [*last_first, fn.col("numbers"), fn.col("texts")]


def _filled(name: str) -> Column:
    """The column as trimmed text, null where it is blank."""
    text = fn.trim(fn.col(name).cast("string"))
    return fn.when(text != "", text)
