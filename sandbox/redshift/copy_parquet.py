"""Checks a Parquet file against a table's columns, and converts its rows to CSV. Blocking.

By position, as Redshift does: names are not compared, so columns of one type that changed places are loaded swapped.
Source: Redshift Database Developer Guide, "COPY from columnar data formats"; code and words of the errors: what
users quote of theirs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sandbox.redshift.copy_command import S3Object
from sandbox.redshift.errors import load_error

_SCAN_ERROR = 15001
_OTHER_COLUMNS = 15007
_BATCH_ROWS = 65_536
_EXACT = {
    "smallint": pa.types.is_int16,
    "integer": pa.types.is_int32,
    "bigint": pa.types.is_int64,
    "real": pa.types.is_float32,
    "double precision": pa.types.is_float64,
    "boolean": pa.types.is_boolean,
    "date": pa.types.is_date32,
    "numeric": pa.types.is_decimal,
    "timestamp without time zone": pa.types.is_timestamp,
    "timestamp with time zone": pa.types.is_timestamp,
    "character varying": pa.types.is_string,
    "character": pa.types.is_string,
}


@dataclass(frozen=True)
class Column:
    """A column of the table: `kind` is PostgreSQL's base type, `declared` includes its length."""

    name: str
    kind: str
    declared: str


def open_checked(
    data: IO[bytes], target: S3Object, columns: Sequence[Column], query: int
) -> pyarrow.parquet.ParquetFile:
    """Open the file. Raises RedshiftError unless its columns match the table's in number, order and type."""
    try:
        # A time of 96 bits as nanoseconds, the default, reaches to the year 2262.
        file = pyarrow.parquet.ParquetFile(data, coerce_int96_timestamp_unit="us")
        fields = list(file.schema_arrow)
    except (pa.ArrowException, OSError):
        context = f"File '{target.url}' has an invalid version number or is not a Parquet file."
        raise load_error("Spectrum Scan Error", code=_SCAN_ERROR, context=context, query=query) from None
    if len(fields) != len(columns):
        context = (
            f"Unmatched number of columns between table and file. Table columns: {len(columns)}, "
            f"Data columns: {len(fields)}, File name: {target.url}"
        )
        raise load_error("Spectrum Scan Error", code=_OTHER_COLUMNS, context=context, query=query)
    for column, parquet in zip(columns, fields, strict=True):
        if not _fits(column, parquet.type):
            context = (
                f"File '{target.url}' has an incompatible Parquet schema for column '{target.url}.{column.name}'. "
                f"Column type: {column.declared.upper()}, Parquet schema: optional {parquet.type} {parquet.name}"
            )
            raise load_error("Spectrum Scan Error", code=_OTHER_COLUMNS, context=context, query=query)
    return file


def csv_batches(file: pyarrow.parquet.ParquetFile) -> Iterator[bytes]:
    """The rows as CSV in batches; a null is an empty field, an empty string is quoted."""
    options = pyarrow.csv.WriteOptions(include_header=False)
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        sink = io.BytesIO()
        pyarrow.csv.write_csv(batch, sink, options)
        yield sink.getvalue()


def _fits(column: Column, parquet: pa.DataType) -> bool:
    exact = _EXACT.get(column.kind)
    if exact is None or not exact(parquet):
        return False
    if column.kind == "numeric":
        return column.declared == f"numeric({parquet.precision},{parquet.scale})"
    return True
