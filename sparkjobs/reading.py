"""Reading published files: columns matched by name, and what is wrong with a file said in words.

Every function here raises ValueError that names the file, what is wrong with it and the mend.
"""

import json
import re
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as fn
from pyspark.sql.types import StringType, StructField, StructType

CORRUPT = "_corrupt"

# What Spark says of a file that it cannot decode. Anything else (a lost executor, a refused access) is passed
# on as it is: the file is not to blame.
_UNREADABLE = re.compile(
    r"is not a Parquet file|Could not read footer|CANNOT_READ_FILE_FOOTER|Unable to infer schema"
    r"|UNABLE_TO_INFER_SCHEMA|Encountered error while reading file|FAILED_READ_FILE|Cannot read footer"
    r"|could not read page|Malformed|can not read|Expected \d+ values in column chunk"
    r"|ParquetDecodingException"
    r"|PARQUET_COLUMN_DATA_TYPE_MISMATCH|Parquet column cannot be converted|FAILED_TO_UNCOMPRESS"
    r"|CORRUPTION_DETECTED|corrupt",
    re.IGNORECASE,
)
_MISSING = re.compile(r"PATH_NOT_FOUND|Path does not exist|FileNotFoundException", re.IGNORECASE)


@contextmanager
def told_plainly(uri):
    """Spark's errors about the file at `uri` become a ValueError that names it; other errors pass."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        if _MISSING.search(text):
            raise ValueError(f"{uri} does not exist: put the published file there.") from error
        if _UNREADABLE.search(text):
            raise ValueError(
                f"{uri} cannot be read ({_cause(text)}): it is damaged or was cut off on its way; "
                "upload it again whole."
            ) from error
        raise


def _cause(text):
    """The one line of a Java stack trace that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    line = causes[-1] if causes else next((line for line in lines if _UNREADABLE.search(line)), lines[0])
    return line.replace("Caused by:", "").strip()[:300]


def read_csv(spark, uri, columns, delimiter=","):
    """The named `columns` of a CSV as trimmed strings (blank is null), and CORRUPT.

    Names are matched whatever their order and case; further columns, such as the unnamed index that some
    copies lead with, are left out. CORRUPT holds the text of a row whose fields do not match the header;
    `refuse_corrupt` tells of it.
    """
    with told_plainly(uri):
        header = _read_header(spark, uri, delimiter)
    places = _match_header(uri, header, columns)
    schema = StructType([StructField(f"c{i}", StringType()) for i in range(len(header))])
    schema.add(StructField(CORRUPT, StringType()))
    with told_plainly(uri):
        rows = _csv_reader(spark, delimiter).schema(schema).csv(uri)
    return rows.select(
        *[_blank_to_null(fn.trim(fn.col(f"c{places[name]}"))).alias(name) for name in columns],
        fn.col(CORRUPT),
    )


def _csv_reader(spark, delimiter):
    return (
        spark.read.option("header", True)
        .option("sep", delimiter)
        .option("quote", '"')
        .option("escape", '"')  # a quote within quotes is doubled, as in RFC 4180
        .option("columnPruning", False)  # or a row's missing fields go unseen
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
    )


def _read_header(spark, uri, delimiter):
    """The header's names, trimmed and in lower case."""
    names = _csv_reader(spark, delimiter).csv(uri).columns
    return [name.strip().lstrip("\ufeff").strip().lower() for name in names]


def _match_header(uri, header, columns):
    """Where each of `columns` stands in `header`."""
    if not header:
        raise ValueError(f"{uri} is empty: it has not even a header; upload the published file again.")
    places = {name: place for place, name in enumerate(header)}
    refuse_missing(uri, places, columns)
    return {name: places[name.lower()] for name in columns}


def refuse_missing(uri, there, columns):
    """Raise ValueError where one of `columns` is not among the lower-case names that are `there`."""
    missing = [name for name in columns if name.lower() not in there]
    if missing:
        raise ValueError(
            f"{uri} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
            f"(it has: {', '.join(there)}): give it the published columns."
        )


def _blank_to_null(column):
    return fn.when(column != "", column)


def refuse_corrupt(uri, example):
    """Raise ValueError where `example`, the text of a CSV row, is not None: the file is cut off."""
    if example is not None:
        raise ValueError(
            f"{uri} has a row whose fields do not match its header: {example[:120]!r}. "
            "The file was cut off, or a field holds the separator unquoted; upload it again whole."
        )


def refuse_empty(uri, rows):
    """Raise ValueError where a file held a header and no row."""
    if rows == 0:
        raise ValueError(f"{uri} is empty: it has a header and no row; upload the published file again.")


def small_table(spark, rows, schema):
    """A table of `rows` (tuples) that we hold already, to join with.

    It goes to Spark as one literal: `createDataFrame` would start Python workers to unpickle it.
    """
    names = [column.split()[0] for column in schema.split(", ")]
    text = json.dumps([{name: row[place] for place, name in enumerate(names)} for row in rows])
    parsed = fn.from_json(fn.lit(text), f"array<struct<{schema}>>")
    return spark.range(1).select(fn.inline(parsed))
