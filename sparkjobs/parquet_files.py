"""Parquet files as rows: parts of other schemas are compared by name and type before one row is read.

Spark takes the schema of one part for that of all: a column that another part lacks is null there, without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
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
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from sparkjobs.csv_files import CORRUPT, lacking
from sparkjobs.errors import BadInput
from sparkjobs.files import File, explain_read_errors, spark_paths
from sparkjobs.parquet_footers import Footer, Stored, no_value, read_footers
from sparkjobs.values import BLANKS, clean_texts

_NUMBERS = (IntegralType, FloatType, DoubleType, DecimalType)
_MOMENTS = (DateType, TimestampType, TimestampNTZType)
_READ = (*_NUMBERS, *_MOMENTS, StringType, BinaryType, BooleanType)


@dataclass(frozen=True)
class _Group:
    """Parts that Spark reads as one: the wanted columns have the same names and types in all of them.

    `folders` are the names of their folders' `name=value`, where a column is read of them.
    """

    columns: tuple[tuple[str, Stored], ...]
    folders: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """The wanted columns of the parts of one group, by name. `file` is one of the parts.

    NullType is the type of a column that is known to have no value.
    """

    file: File
    rows: DataFrame
    columns: dict[str, Column]
    types: dict[str, DataType]
    corrupt: Column


def read_parquet_files(
    spark: SparkSession, folder: str, files: Sequence[File], columns: Sequence[str]
) -> DataFrame:
    """The named `columns` of Parquet files below `folder` in their types, texts trimmed (blank is null), and CORRUPT.

    A part may have its columns in any order, and further ones of any type. Where numbers have other types in other
    parts, they become doubles (or bigints, where all are whole); where some parts have text, all become text; dates
    and timestamps of every kind become timestamps. What is read of a folder's `name=value` is text. CORRUPT
    has the texts of a row of which one is no UTF-8, and is null elsewhere.
    """
    groups: dict[_Group, list[File]] = {}
    for file, footer in zip(files, read_footers(spark, files, columns)):
        groups.setdefault(_group(file, footer, columns), []).append(file)
    parts = [_read_group(spark, folder, group, alike) for group, alike in groups.items()]
    for name in columns:
        if _shared_type({part.types[name] for part in parts}) is None:
            parts = [_without_empty(part, name) for part in parts]
    types = {name: _common_type(name, parts) for name in columns}
    return reduce(DataFrame.unionByName, [_select(part, types) for part in parts])


def _group(file: File, footer: Footer, columns: Sequence[str]) -> _Group:
    """What a part is read by. Raises BadInput where it lacks a column."""
    folders = tuple(part.partition("=")[0] for part in file.name.split("/")[:-1] if "=" in part)
    of_folders = {name.strip(BLANKS).lower(): Stored(name, StringType(), is_nanos=False) for name in folders}
    found = {**{name: of_folders.get(name.lower()) for name in columns}, **footer.columns}
    missing = [name for name in columns if found[name] is None]
    if missing:
        raise BadInput(lacking(file.uri, missing, footer.names))
    stored = {name: column for name, column in found.items() if column}
    return _Group(tuple(stored.items()), folders if len(footer.columns) < len(columns) else ())


def _read_group(spark: SparkSession, folder: str, group: _Group, files: list[File]) -> _Part:
    file = files[0]
    # Of the columns that nobody asks for, Spark is not told: it cannot read some types.
    schema = StructType([StructField(stored.name, stored.kind) for _, stored in group.columns])
    # Dates and times are counted as today, unless a file says that an old Spark or Hive wrote it.
    reader = spark.read.schema(schema).options(datetimeRebaseMode="CORRECTED", int96RebaseMode="CORRECTED")
    if group.folders:
        reader = reader.option("basePath", folder)
    with explain_read_errors(file.uri):
        rows = reader.parquet(*spark_paths(files))
    selected: dict[str, Column] = {}
    types: dict[str, DataType] = {}
    for wanted, stored in group.columns:
        quoted = "`" + stored.name.replace("`", "``") + "`"
        column, kind = fn.col(quoted), stored.kind
        if not isinstance(kind, _READ):
            raise BadInput(no_value(file, wanted, kind.simpleString()))
        if stored.is_nanos:
            column, kind = fn.expr(f"timestamp_micros({quoted} div 1000)"), TimestampType()
        elif isinstance(kind, BinaryType):
            column, kind = column.cast("string"), StringType()
        selected[wanted], types[wanted] = column, kind
    texts = [column for name, column in selected.items() if isinstance(types[name], StringType)]
    return _Part(file, rows, selected, types, _corrupt(file, rows, texts))


def _corrupt(file: File, rows: DataFrame, texts: Sequence[Column]) -> Column:
    """CORRUPT: a row's texts where one of them is no UTF-8; Spark would read U+FFFD in place of letters.

    One quick pass over the texts, so that nothing depends on all of them where all is well, as it nearly always is.
    """
    nothing = fn.lit(None).cast("string")
    if not texts:
        return nothing
    together = fn.concat_ws(" | ", *texts)
    stored = together.cast("binary")
    is_wrong = fn.decode(stored, "UTF-8") != together
    with explain_read_errors(file.uri):
        ((wrong,),) = rows.agg(fn.count_if(is_wrong)).collect()
    return fn.when(is_wrong, fn.decode(stored, "windows-1252")) if wrong else nothing


def _without_empty(part: _Part, name: str) -> _Part:
    """`part`, in which the column is of NullType where it has no value: pandas writes a bigint or a double then."""
    with explain_read_errors(part.file.uri):
        if not part.rows.where(part.columns[name].isNotNull()).isEmpty():
            return part
    return replace(part, columns={**part.columns, name: fn.lit(None)}, types={**part.types, name: NullType()})


def _shared_type(found: AbstractSet[DataType]) -> DataType | None:
    """The type in which all of these can be read; None where there is none."""
    kinds = found - {NullType()}
    if len(kinds) <= 1:
        return next(iter(kinds), StringType())
    if all(isinstance(kind, IntegralType) for kind in kinds):
        return LongType()
    if all(isinstance(kind, _NUMBERS) for kind in kinds):
        return DoubleType()
    if all(isinstance(kind, (*_NUMBERS, StringType)) for kind in kinds):
        return StringType()
    if all(isinstance(kind, _MOMENTS) for kind in kinds):
        return (
            TimestampType()
        )  # the session is in UTC: so is a timestamp without a zone, and a date begins at 0:00
    return None


def _common_type(name: str, parts: Sequence[_Part]) -> DataType:
    """The type in which a column of all parts can be read. Raises BadInput naming two parts where there is none."""
    kinds = {part.types[name]: part for part in reversed(parts)}
    shared = _shared_type(kinds.keys())
    if shared:
        return shared
    (other, second), *_, (one, first) = [item for item in kinds.items() if item[0] != NullType()]
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
    corrupt = part.corrupt.alias(CORRUPT)
    if not texts:
        return part.rows.select(*others, corrupt)
    return clean_texts(part.rows, texts, *others, corrupt).select(*types, CORRUPT)
