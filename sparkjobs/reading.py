"""Reading published files: columns matched by name, and what is wrong with a file said in words.

Every function here raises BadInput that names the file, what is wrong with it and what to do; docs/input.md has
the whole list. `files` finds them, `csv_files` and `parquet_files` read them, `values` says what text means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.csv_files import CORRUPT, has_header, read_csv_files
from sparkjobs.errors import BadInput
from sparkjobs.files import drop_documents, explain_read_errors, folder_of, list_files, name_source
from sparkjobs.parquet_files import read_parquet_files

__all__ = [
    "CORRUPT",
    "explain_read_errors",
    "name_source",
    "read_csv",
    "read_output",
    "read_table",
    "refuse_empty",
    "small_table",
]


def read_csv(
    spark: SparkSession,
    uris: Sequence[str],
    columns: Sequence[str],
    delimiter: str = ",",
    notes: dict[str, int] | None = None,
) -> DataFrame:
    """The named `columns` of the CSV files at `uris`, as trimmed strings (blank is null), and CORRUPT.

    Names are matched in each file's own header, whatever their order and case; further columns, such as the
    unnamed index that some copies begin with, are left out. CORRUPT is the text of a row whose fields
    do not match the header, which `writing.first_reason` rejects. A file that is not UTF-8 is read as
    Windows-1252. `notes` gets what a person should know of the files, by name: `read_as_windows_1252` (lines
    that are not UTF-8), `nul_removed` (lines with U+0000), `files_ignored` (documents among the files).
    """
    notes = {} if notes is None else notes
    files = list_files(spark, uris)
    if len(files) > 1:
        data = [file for file in files if has_header(file, columns, delimiter)]
        rest = drop_documents([file for file in files if file not in data], notes)
        files = [file for file in files if file in data or file in rest] or files
    return read_csv_files(spark, files, columns, delimiter, notes)


def read_table(
    spark: SparkSession,
    uris: Sequence[str],
    columns: Sequence[str],
    delimiter: str = ",",
    notes: dict[str, int] | None = None,
) -> DataFrame:
    """The named `columns` of Parquet or CSV, whichever the first bytes of the files at `uris` say, and CORRUPT.

    Of CSV, as `read_csv` has them. Of Parquet, in the types of the file, texts trimmed (blank is null); CORRUPT has
    the texts of a row of which one is no UTF-8. Among Parquet, documents (README, .txt, .md, .pdf, …) are ignored and
    counted in `notes` as `files_ignored`; any other file that is not Parquet is refused.
    """
    notes = {} if notes is None else notes
    files = list_files(spark, uris)
    parquet = [file for file in files if file.is_parquet]
    if not parquet and not any(file.name.endswith(".parquet") for file in files):
        return read_csv(spark, uris, columns, delimiter, notes)
    strays = drop_documents([file for file in files if not file.is_parquet], notes)
    if strays:
        what = "is damaged" if strays[0].name.endswith(".parquet") else "lies among them"
        raise BadInput(
            f"{strays[0].uri} {what}: it does not begin as Parquet does, with PAR1. "
            "Replace it by an undamaged Parquet file, or move it elsewhere."
        )
    return read_parquet_files(spark, folder_of(uris), parquet, columns)


def read_output(spark: SparkSession, uris: Sequence[str]) -> DataFrame:
    """What another job wrote: all columns of its Parquet, in their types and as they are.

    The names of its folders (`day=2016-04-01/`) add no column: what they say is in the files.
    """
    with explain_read_errors(name_source(uris)):
        return spark.read.option("recursiveFileLookup", True).parquet(*uris)


def refuse_empty(uris: Sequence[str], rows: int) -> None:
    """Raise BadInput where the files hold columns and no row."""
    if rows == 0:
        raise BadInput(
            f"{name_source(uris)} is empty: it has a header and no row. Upload the published file again."
        )


def small_table(spark: SparkSession, rows: Iterable[tuple[Any, ...]], schema: str) -> DataFrame:
    """A table of `rows` that the driver already holds, to join with; `schema` is `name type, name type`.

    It goes to Spark as one literal: `createDataFrame` would start Python workers to unpickle it.
    """
    names = [column.split()[0] for column in schema.split(", ")]
    text = json.dumps([{name: row[index] for index, name in enumerate(names)} for row in rows])
    parsed = fn.from_json(fn.lit(text), f"array<struct<{schema}>>")
    return spark.range(1).select(fn.inline(parsed))
