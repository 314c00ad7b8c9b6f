"""Text as published and what it means: trimmed text, numbers, days. Every job reads its values by these."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

# What looks like nothing: control characters, every white space of Unicode, and what has no width. Exports
# leave these around values: U+00A0 and U+202F from web pages, U+FEFF from Windows, U+001A from MS-DOS.
BLANKS = "".join(
    map(
        chr,
        (
            *range(0x21),
            *range(0x7F, 0xA1),
            *(0x1680, 0x180E),
            *range(0x2000, 0x2010),
            *range(0x2028, 0x2030),
            *range(0x205F, 0x2065),
            *(0x3000, 0xFEFF),
        ),
    )
)
_PLAIN = " -~"  # printable ASCII: of such text, only spaces are trimmed
# Up to this a double holds every whole number; beyond, it cannot tell one from the next.
LARGEST_WHOLE = 2**53
LARGEST_INT = 2**31 - 1
LARGEST_DOUBLE = sys.float_info.max
_ISO = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$"
_AMERICAN = r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$"


def clean_text(text: Column) -> Column:
    """One text, as `clean_texts` has it: for columns on which a filter depends, which Spark copies into it."""
    cleaned = fn.call_function("nullif", _thoroughly(text), fn.lit(""))
    return fn.when(text.rlike(f"^$|^ | $|[^{_PLAIN}]"), cleaned).otherwise(text)


def _thoroughly(text: Column) -> Column:
    return fn.call_function("btrim", fn.translate(text, "\0", ""), fn.lit(BLANKS))


def clean_texts(rows: DataFrame, texts: Mapping[str, Column], *others: Column) -> DataFrame:
    """`texts` without BLANKS around them and without U+0000, which no warehouse takes; then `others`.

    What is blank is null. One look at a whole row spares nearly every row the costly part: that is a tenth of
    what a look at each text would cost.
    """
    unusual = fn.concat_ws("", *texts.values()).rlike(f"[^{_PLAIN}]")
    looked_at = rows.select(
        *[text.alias(name) for name, text in texts.items()], *others, unusual.alias("_unusual")
    )
    kept = [name for name in looked_at.columns if name != "_unusual"]
    cleaned = {name: _cleaned(fn.col(f"`{name}`")) for name in texts}
    return looked_at.select(
        *[
            fn.when(cleaned[name] != "", cleaned[name]).alias(name) if name in texts else f"`{name}`"
            for name in kept
        ]
    )


def _cleaned(text: Column) -> Column:
    return fn.when(fn.col("_unusual"), _thoroughly(text)).otherwise(fn.trim(text))


def finite(column: Column, largest: float = LARGEST_DOUBLE) -> Column:
    """The column as a double; null where it is no number, NaN, infinite, or beyond ±`largest`.

    Of text, a number ends with a digit or a point: Java takes `12d` and `12f` as well.
    """
    # `typeof` is known before a row is read, so that nothing else is asked of a column of numbers.
    ends_as_number = fn.substring(column.cast("string"), -1, 1) <= "9"
    is_number = (fn.typeof(column) != "string") | ends_as_number
    value = column.cast("double")
    return fn.when(is_number & value.between(-largest, largest), value)


def integer(column: Column) -> Column:
    """The column as an int, its fraction cut off; null where it is no number, or too large for an int.

    A cast alone would make the largest number there is of anything larger.
    """
    return finite(column, LARGEST_INT).cast("int")


def day(text: Column) -> Column:
    """The date in `text`, 2016-04-01 or 4/1/2016 (month first), with or without leading zeros; else null.

    Its year is 1 to 9999, as dates are counted today: no day is left out in October 1582.
    """
    american = fn.split(text, "/")
    iso = fn.split(text, "-")
    date = fn.when(text.rlike(_ISO), _date(iso[0], iso[1], iso[2])).when(
        text.rlike(_AMERICAN), _date(american[2], american[0], american[1])
    )
    return fn.when(fn.year(date) >= 1, date)


def _date(year: Column, month: Column, dom: Column) -> Column:
    return fn.make_date(year.cast("int"), month.cast("int"), dom.cast("int"))


def is_filled(column: Column) -> Column:
    """Whether there is more than a blank, NA or NaN, as several programs write a missing number."""
    return ~fn.coalesce(fn.lower(column.cast("string")).isin("", "na", "nan", "null"), fn.lit(True))
