"""Parquet files as rows: parts of other schemas are compared by name and type before one row is read.

Spark takes the schema of one part for that of all: a column that another part lacks is null there, without a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from sparkjobs.csv_files import CORRUPT, lacking
from sparkjobs.errors import BadInput
from sparkjobs.files import File, explain_read_errors, read_footers, spark_paths
from sparkjobs.values import clean_texts

# EMR has no library for these.
_CODECS_UNREAD = ("BROTLI", "LZO")
_NANOS = re.compile(r"int64 (.+) \(TIMESTAMP\(NANOS")
_NUMBERS = (IntegralType, FloatType, DoubleType, DecimalType)
_READ = (*_NUMBERS, StringType, BooleanType, DateType, TimestampType, TimestampNTZType)
# A line of the top level in the text that Parquet writes of a schema: `  optional int64 a (INTEGER(64,false)) = 1;`
_FIELD = re.compile(
    r"^  (?:optional|required|repeated) \S+(?:\(\d+\))? (.+?)(?: \(.*\))?(?: = \d+)?(?:;| \{)$", re.MULTILINE
)


@dataclass(frozen=True)
class _Group:
    """Parts of one schema. `folders` are the names of their folders' `name=value`, where a column is read of them."""

    schema: str
    folders: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """The wanted columns of the parts of one schema, by name; `file` is one of the parts."""

    file: File
    rows: DataFrame
    columns: dict[str, Column]
    types: dict[str, DataType]


def read_parquet_files(
    spark: SparkSession, uri: str, files: Sequence[File], columns: Sequence[str]
) -> DataFrame:
    """The named `columns` of Parquet files in their types, texts trimmed (blank is null), and CORRUPT, null.

    A part may have its columns in any order, and further ones. Where numbers have other types in other parts,
    they become doubles (or bigints, where all are whole); where some parts have text, all become text.
    """
    groups: dict[_Group, list[File]] = {}
    for file, footer in zip(files, read_footers(spark, list(files))):
        if footer.codec in _CODECS_UNREAD:
            raise BadInput(
                f"{file.uri} is compressed by {footer.codec}, which Spark cannot read here. "
                "Write it again with snappy, gzip or zstd, and upload that."
            )
        folders = tuple(part.partition("=")[0] for part in file.name.split("/")[:-1] if "=" in part)
        present = _names(footer.schema)
        used = folders if any(_missing(present, [name]) for name in columns) else ()
        groups.setdefault(_Group(footer.schema, used), []).append(file)
    parts = [_read_group(spark, uri, group, alike, columns) for group, alike in groups.items()]
    types = {name: _common_type(name, parts) for name in columns}
    return reduce(DataFrame.unionByName, [_select(part, types) for part in parts])


def _names(schema: str) -> list[str]:
    """The names of a schema's top level in lower case."""
    return [name.lower() for name in _FIELD.findall(schema)]


def _missing(present: Sequence[str], columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name.lower() not in present]


def _read_group(
    spark: SparkSession, uri: str, group: _Group, files: list[File], columns: Sequence[str]
) -> _Part:
    file = files[0]
    present = _names(group.schema)
    twice = [name for name in columns if present.count(name.lower()) > 1]
    if twice:
        raise BadInput(
            f"{file.uri} has more than one column {', '.join(twice)}, differing in case only. "
            "Write it again with each published column once, and upload that."
        )
    missing = _missing([*present, *[name.lower() for name in group.folders]], columns)
    if missing:
        raise BadInput(lacking(file.uri, missing, present))
    # Spark refuses timestamps in nanoseconds, which pandas writes, unless it may take them for numbers.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    # Dates and times are counted as today, unless a file says that an old Spark or Hive wrote it.
    reader = spark.read.options(datetimeRebaseMode="CORRECTED", int96RebaseMode="CORRECTED")
    if group.folders:
        reader = reader.option("basePath", uri)
    with explain_read_errors(file.uri):
        rows = reader.parquet(*spark_paths(files))
    names = {field.name.lower(): field for field in rows.schema.fields}
    nanos = set(_NANOS.findall(group.schema))
    selected: dict[str, Column] = {}
    types: dict[str, DataType] = {}
    for wanted in columns:
        field = names[wanted.lower()]
        quoted = "`" + field.name.replace("`", "``") + "`"
        column, kind = fn.col(quoted), field.dataType
        if field.name in nanos:
            column, kind = fn.expr(f"timestamp_micros({quoted} div 1000)"), TimestampType()
        elif isinstance(kind, BinaryType):
            column, kind = column.cast("string"), StringType()
        elif not isinstance(kind, _READ):
            raise BadInput(
                f"{file.uri} has column {wanted} of type {kind.simpleString()[:80]}, where one value a row was "
                "expected. Write it as text or as a number, and upload that."
            )
        selected[wanted], types[wanted] = column, kind
    return _Part(file, rows, selected, types)


def _common_type(name: str, parts: Sequence[_Part]) -> DataType:
    """The type in which a column of all parts can be read. Raises BadInput naming two parts where there is none."""
    kinds = {part.types[name]: part for part in reversed(parts)}
    if len(kinds) == 1:
        return next(iter(kinds))
    if all(isinstance(kind, IntegralType) for kind in kinds):
        return LongType()
    if all(isinstance(kind, _NUMBERS) for kind in kinds):
        return DoubleType()
    if all(isinstance(kind, (*_NUMBERS, StringType)) for kind in kinds):
        return StringType()
    (other, second), *_, (one, first) = kinds.items()
    raise BadInput(
        f"{second.file.uri} has column {name} of type {other.simpleString()}, and {first.file.uri} of type "
        f"{one.simpleString()}: these cannot be read as one. Write the parts with one type, and upload them."
    )


def _select(part: _Part, types: dict[str, DataType]) -> DataFrame:
    cast = {
        name: column if part.types[name] == types[name] else column.cast(types[name])
        for name, column in part.columns.items()
    }
    texts = {name: column for name, column in cast.items() if isinstance(types[name], StringType)}
    others = [column.alias(name) for name, column in cast.items() if name not in texts]
    corrupt = fn.lit(None).cast("string").alias(CORRUPT)
    if not texts:
        return part.rows.select(*others, corrupt)
    return clean_texts(part.rows, texts, *others, corrupt).select(*types, CORRUPT)
