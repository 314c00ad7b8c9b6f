"""The footer of a Parquet file in S3, and its columns: of sources before a run, of outputs before their COPY.

Only the file's end is read, by one request where the footer is as small as they mostly are. What it holds is data
from outside: whatever it is, it ends in columns or in the error that the caller makes of the cause.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_lib.aws.s3 import ListedObject, read_range
from airflow_lib.errors import MayflyError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NESTED = "nested"

_MAGIC = b"PAR1"
_LENGTH_AND_MAGIC = 8  # the file's last bytes: https://parquet.apache.org/docs/file-format/
_TAIL_BYTES = 64 * 1024
_MAX_FOOTER_BYTES = 16 * 1024 * 1024
_MAX_CAUSE = 200

ToError = Callable[[str, str], MayflyError]


@dataclass(frozen=True)
class ParquetColumn:
    """A column on the top level; `type` in Parquet's words, such as `INT64` or `INT32 DATE`, or NESTED.

    The words: https://parquet.apache.org/docs/file-format/types/
    """

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.name!r} ({self.type})"


def read_schema(s3: S3Client, bucket: str, item: ListedObject, to_error: ToError) -> pq.ParquetSchema:
    """The schema of a Parquet file. Raises as `read_footer`."""
    return read_footer(s3, bucket, item, to_error).schema


def read_footer(s3: S3Client, bucket: str, item: ListedObject, to_error: ToError) -> pq.FileMetaData:
    """What the end of a Parquet file says of it: its schema, its number of rows, and statistics of its columns.

    Raises what `to_error` makes of what is wrong with the file, and of what whoever put it there can do; ResourceError
    where S3 refuses.
    """
    tail = read_range(s3, bucket, item, item.size - _TAIL_BYTES, _TAIL_BYTES)
    end = tail[-_LENGTH_AND_MAGIC:]
    length = int.from_bytes(end[:4], "little")
    needed = length + _LENGTH_AND_MAGIC
    if end[4:] != _MAGIC or needed + len(_MAGIC) > item.size:
        raise to_error("is a Parquet file that was cut off: its end is missing", "Upload it again whole.")
    if length > _MAX_FOOTER_BYTES:
        raise to_error(
            f"has a footer of {length} bytes, {_MAX_FOOTER_BYTES} at most were expected",
            "Write it with fewer columns or larger row groups.",
        )
    if needed > len(tail):
        tail = read_range(s3, bucket, item, item.size - needed, needed)
    try:
        footer = pq.read_metadata(io.BytesIO(_MAGIC + tail[-needed:]))
        list_columns(footer.schema)  # a name may be no UTF-8
    except (pa.ArrowException, OSError, ValueError) as error:
        cause = " ".join(str(error).split())[:_MAX_CAUSE]
        raise to_error(f"is a damaged Parquet file ({cause})", "Replace it by an undamaged one.") from error
    return footer


def list_columns(schema: pq.ParquetSchema) -> tuple[ParquetColumn, ...]:
    """The columns on the top level, in the file's order."""
    found: list[ParquetColumn] = []
    for index in range(len(schema)):
        leaf = schema.column(index)
        if leaf.path == leaf.name and leaf.max_repetition_level == 0:
            found.append(ParquetColumn(leaf.name, _type_of(leaf)))
            continue
        group = ParquetColumn(leaf.path.partition(".")[0], NESTED)
        if found[-1:] != [group]:
            found.append(group)
    return tuple(found)


def _type_of(leaf: pq.ColumnSchema) -> str:
    """Physical and logical type, in words that stay the same from one version of pyarrow to the next."""
    physical, logical = str(leaf.physical_type), str(leaf.logical_type.type)
    if logical == "NONE":
        return physical
    if logical == "DECIMAL":
        return f"{physical} DECIMAL({leaf.precision}, {leaf.scale})"
    about = json.loads(leaf.logical_type.to_json())
    if logical == "TIMESTAMP":
        zone = "UTC" if about["isAdjustedToUTC"] else "without time zone"
        return f"{physical} TIMESTAMP {about['timeUnit']} {zone}"
    if logical == "INT":
        return f"{physical} {'' if about['isSigned'] else 'U'}INT({about['bitWidth']})"
    return f"{physical} {logical}"
