"""Reading published files: columns matched by name, and what is wrong with a file said in words.

Every function here raises BadInput that names the file, what is wrong with it and what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.types import StringType, StructField, StructType

from sparkjobs.errors import BadInput

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
def explain_read_errors(uri: str) -> Iterator[None]:
    """Turn Spark's errors about the file at `uri` into a BadInput that names it; other errors pass."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        if _MISSING.search(text):
            raise BadInput(f"{uri} does not exist: put the published file there.") from error
        if _UNREADABLE.search(text):
            raise BadInput(
                f"{uri} cannot be read ({_cause(text)}): it is damaged or was cut off during its upload. "
                "Upload the whole file again."
            ) from error
        raise


def _cause(text: str) -> str:
    """The one line of a Java stack trace that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    line = causes[-1] if causes else next((line for line in lines if _UNREADABLE.search(line)), lines[0])
    return line.replace("Caused by:", "").strip()[:300]


def read_csv(spark: SparkSession, uri: str, columns: Sequence[str], delimiter: str = ",") -> DataFrame:
    """The named `columns` of a CSV as trimmed strings (blank is null), and CORRUPT.

    Names are matched whatever their order and case; further columns, such as the unnamed index that some
    copies begin with, are left out. CORRUPT holds the text of a row whose fields do not match the header;
    `refuse_corrupt` raises for it.
    """
    with explain_read_errors(uri):
        header = _read_header(spark, uri, delimiter)
    indexes = _match_header(uri, header, columns)
    schema = StructType([StructField(f"c{i}", StringType()) for i in range(len(header))])
    schema.add(StructField(CORRUPT, StringType()))
    with explain_read_errors(uri):
        rows = _csv_reader(spark, delimiter).schema(schema).csv(uri)
    return rows.select(
        *[_blank_to_null(fn.trim(fn.col(f"c{indexes[name]}"))).alias(name) for name in columns],
        fn.col(CORRUPT),
    )


def _csv_reader(spark: SparkSession, delimiter: str) -> DataFrameReader:
    return (
        spark.read.option("header", True)
        .option("sep", delimiter)
        .option("quote", '"')
        .option("escape", '"')  # a quote within quotes is doubled, as in RFC 4180
        .option("columnPruning", False)  # with pruning, Spark does not notice a row's missing fields
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
    )


def _read_header(spark: SparkSession, uri: str, delimiter: str) -> list[str]:
    """The header's names, trimmed and in lower case."""
    names = _csv_reader(spark, delimiter).csv(uri).columns
    return [name.strip().lstrip("\ufeff").strip().lower() for name in names]


def _match_header(uri: str, header: Sequence[str], columns: Iterable[str]) -> dict[str, int]:
    """The index in `header` of each of `columns`."""
    if not header:
        raise BadInput(f"{uri} is empty: it has not even a header. Upload the published file again.")
    indexes = {name: index for index, name in enumerate(header)}
    refuse_missing(uri, indexes, columns)
    return {name: indexes[name.lower()] for name in columns}


def refuse_missing(uri: str, present: Collection[str], columns: Iterable[str]) -> None:
    """Raise BadInput where one of `columns` is not among the lower-case names that are `present`."""
    missing = [name for name in columns if name.lower() not in present]
    if missing:
        raise BadInput(
            f"{uri} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
            f"(it has: {', '.join(present)}). Upload the file with its published columns."
        )


def _blank_to_null(column: Column) -> Column:
    return fn.when(column != "", column)


def refuse_corrupt(uri: str, example: str | None) -> None:
    """Raise BadInput where `example`, the text of a CSV row, is not None: the file is cut off."""
    if example is not None:
        raise BadInput(
            f"{uri} has a row whose fields do not match its header: {example[:120]!r}. "
            "The file was cut off, or a field holds the separator unquoted. Upload the whole file again."
        )


def refuse_empty(uri: str, rows: int) -> None:
    """Raise BadInput where a file held a header and no row."""
    if rows == 0:
        raise BadInput(f"{uri} is empty: it has a header and no row. Upload the published file again.")


def small_table(spark: SparkSession, rows: Iterable[tuple[Any, ...]], schema: str) -> DataFrame:
    """A table of `rows` that the driver already holds, to join with; `schema` is `name type, name type`.

    It goes to Spark as one literal: `createDataFrame` would start Python workers to unpickle it.
    """
    names = [column.split()[0] for column in schema.split(", ")]
    text = json.dumps([{name: row[index] for index, name in enumerate(names)} for row in rows])
    parsed = fn.from_json(fn.lit(text), f"array<struct<{schema}>>")
    return spark.range(1).select(fn.inline(parsed))
