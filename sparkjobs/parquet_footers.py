"""What Parquet files say of themselves in their footers: the columns that are wanted, and whether Spark can read them.

Spark reads the schema of one file for all of them, and refuses the whole file for one column that it cannot read,
even where nobody asks for that column. So the footers are read here, and Spark is told what to read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import DataType, StructType

from sparkjobs.errors import BadInput
from sparkjobs.files import PARQUET, File, explain_read_errors, read_tail
from sparkjobs.values import BLANKS

_PARALLEL = 8
# EMR has no library for these codecs, and Spark's reader does not know this encoding.
_UNREAD = {
    "BROTLI": "compressed by BROTLI",
    "LZO": "compressed by LZO",
    "BYTE_STREAM_SPLIT": "encoded by BYTE_STREAM_SPLIT",
}


@dataclass(frozen=True)
class Stored:
    """One column as a file stores it: its name there, and its type for Spark (a bigint where it is in nanoseconds)."""

    name: str
    kind: DataType
    is_nanos: bool


@dataclass(frozen=True)
class Footer:
    """`names` are those of all columns, trimmed and in lower case; `columns` are the wanted ones it has, by name."""

    names: tuple[str, ...]
    columns: dict[str, Stored]


def read_footers(spark: SparkSession, files: Sequence[File], wanted: Sequence[str]) -> list[Footer]:
    """The footer of each file, of the columns `wanted` only.

    Raises BadInput naming the file and what to do where it is cut off or damaged, and the column where Spark
    cannot read one of them, or where the file has it twice. A column that it lacks is missing in `columns`.
    """
    # Spark refuses timestamps in nanoseconds, which pandas writes, unless it may take them for numbers.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(lambda file: _read_footer(spark, file, wanted), files))


def _read_footer(spark: SparkSession, file: File, wanted: Sequence[str]) -> Footer:
    if file.is_compressed:
        raise BadInput(
            f"{file.uri} is compressed as a whole, and Spark cannot read Parquet so. Unpack it, and upload that: its "
            "columns are compressed within."
        )
    reader = _open(spark, file)
    with explain_read_errors(file.uri):
        try:
            metadata = reader.getFooter()
            fields = list(metadata.getFileMetaData().getSchema().getFields())
            names = tuple(field.getName().strip(BLANKS).lower() for field in fields)
            _refuse_twice(file, names, wanted)
            found = {name: fields[names.index(name.lower())] for name in wanted if name.lower() in names}
            _refuse_unread(file, metadata.getBlocks(), found)
            return Footer(names, {name: _column(spark, file, name, field) for name, field in found.items()})
        finally:
            reader.close()


def _open(spark: SparkSession, file: File) -> Any:
    jvm: Any = spark._jvm  # noqa: SLF001 - PySpark has no public way to a footer
    conf = spark._jsc.hadoopConfiguration()  # noqa: SLF001
    hadoop = jvm.org.apache.parquet.hadoop
    try:
        source = hadoop.util.HadoopInputFile.fromPath(jvm.org.apache.hadoop.fs.Path(file.uri), conf)
        return hadoop.ParquetFileReader.open(source)
    except Py4JJavaError as error:
        raise BadInput(_why_closed(file, read_tail(spark, file), error)) from error


def _why_closed(file: File, tail: bytes, error: Py4JJavaError) -> str:
    """Why a file that begins as Parquet does cannot be opened, by its last bytes and the error."""
    cause = str(error.java_exception.toString())[:300]
    if not tail.endswith(PARQUET):
        end = tail.rfind(PARQUET, 0 if file.size > len(tail) else 1)  # the file begins with that, too
        if end >= 0:
            return (
                f"{file.uri} cannot be read: {len(tail) - end - len(PARQUET)} bytes follow its end, so it is damaged. "
                "Replace it by an undamaged copy."
            )
        return (
            f"{file.uri} cannot be read (it does not end as Parquet does, with PAR1): it was cut off, as by an upload "
            "that was interrupted. Upload the whole file again."
        )
    if "LogicalType" in cause:  # a type that Parquet has got since, of which the library knows no name
        return (
            f"{file.uri} has a column of a type that Spark cannot read here, such as float16, even where nobody "
            "asks for it. Write the file again with that column as another type, or without it, and upload that."
        )
    if "IndexOutOfBounds" in cause:
        return f"{file.uri} has no column. Upload the file with its published columns."
    return f"{file.uri} cannot be read ({cause}): it is damaged. Replace it by an undamaged copy."


def _refuse_twice(file: File, names: Sequence[str], wanted: Sequence[str]) -> None:
    twice = [name for name in wanted if names.count(name.lower()) > 1]
    if twice:
        raise BadInput(
            f"{file.uri} has more than one column {', '.join(twice)}, differing at most in case and blanks. "
            "Write it again with each published column once, and upload that."
        )


def _refuse_unread(file: File, blocks: Any, found: dict[str, Any]) -> None:
    """Raise BadInput where a column that is found has a codec or an encoding that Spark cannot read, in any block."""
    said = str(blocks.toString())  # one call in place of several for each column of each block
    if not any(word in said for word in _UNREAD):
        return
    names = {str(field.getName()): name for name, field in found.items()}
    for block in blocks:
        for chunk in block.getColumns():
            name = names.get(str(next(iter(chunk.getPath().toArray()))))
            how = {str(chunk.getCodec().name()), *(str(kind.name()) for kind in chunk.getEncodings())}
            for word in sorted(how & _UNREAD.keys() if name else ()):
                raise BadInput(
                    f"{file.uri} has column {name} {_UNREAD[word]}, which Spark cannot read here. "
                    "Write the file again with snappy, gzip or zstd and plain or dictionary encoding, and upload that."
                )


def _column(spark: SparkSession, file: File, wanted: str, field: Any) -> Stored:
    jvm: Any = spark._jvm  # noqa: SLF001
    conf = spark._jsparkSession.sessionState().conf()  # noqa: SLF001
    schema = jvm.org.apache.parquet.schema.MessageType(
        "schema", jvm.java.util.Collections.singletonList(field)
    )
    parquet = jvm.org.apache.spark.sql.execution.datasources.parquet
    annotation = str(field.getLogicalTypeAnnotation() or "")
    try:
        converted = parquet.ParquetToSparkSchemaConverter(conf).convert(schema).json()
    except (PySparkException, Py4JJavaError) as error:
        stored = (
            str(field.asPrimitiveType().getPrimitiveTypeName().name()) if field.isPrimitive() else "GROUP"
        )
        raise BadInput(no_value(file, wanted, f"{stored} ({annotation})")) from error
    (read,) = StructType.fromJson(json.loads(converted)).fields
    return Stored(read.name, read.dataType, annotation.startswith("TIMESTAMP(NANOS"))


def no_value(file: File, name: str, kind: str) -> str:
    """The message for a column of a type that a job cannot use."""
    return (
        f"{file.uri} has column {name} of type {kind[:80]}, where one value a row was expected: a text, a number, "
        "a date or a timestamp. Write it as text or as a number, and upload that."
    )
