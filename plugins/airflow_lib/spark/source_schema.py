"""The columns of a source, read from S3 before a cluster is made: a CSV's header, a Parquet file's footer.

Only a few small ranges of a file are read, and of a folder a few files, so that the preflight stays a matter of
seconds; the job itself looks at every file. What a file holds is data from outside: whatever it is, it ends in names
or in a SourceError that says what to do.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_lib.aws.s3 import ListedObject, read_range
from airflow_lib.aws.s3_location import uri_of
from airflow_lib.errors import SourceError
from airflow_lib.pipeline import Source, SparkJob
from airflow_lib.spark.outputs import ResolvedSources
from airflow_lib.spark.parquet_schema import read_schema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HEAD_BYTES = 64 * 1024
_MAX_FILES = 8  # of one source: the first, the last, and some between
_MAX_NAMES_SHOWN = 40
_MAX_NAME = 60
_PARQUET, _GZIP, _UTF16 = b"PAR1", b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
# Notes beside the data of a folder, which the jobs leave out, too (sparkjobs/files.py).
_DOCUMENT = re.compile(
    r"^(readme|license|copying|changelog)\b|\.(txt|md|rst|html?|pdf|docx?|xml|md5|sha\d+)$", re.IGNORECASE
)


def check_sources(s3: S3Client, bucket: str, job: SparkJob, found: ResolvedSources) -> None:
    """Compare every file of the job's sources, as they were `found`, with what the job declares of it.

    Raises SourceError that tells what is wrong with each source; ResourceError where S3 refuses.
    """
    wrong: list[str] = []
    for source, uri in zip(job.sources, found.uris, strict=True):
        if isinstance(source, Source):
            key = uri.removeprefix(f"s3://{bucket}/")
            objects = [
                item
                for item in found.objects
                if item.key == key or (key.endswith("/") and item.key.startswith(key))
            ]
            try:
                check_columns(s3, bucket, source, objects)
            except SourceError as error:
                wrong.append(error.message)
    if wrong:
        raise SourceError("\n".join(wrong))


def check_columns(s3: S3Client, bucket: str, source: Source, objects: Sequence[ListedObject]) -> None:
    """Compare what a source's files hold with the columns that it declares, whatever their order and case.

    Raises SourceError naming the first file that lacks one; ResourceError where S3 refuses.
    """
    data = [item for item in objects if not _DOCUMENT.search(item.key.rpartition("/")[2])]
    for item in _some_of(data or objects) if source.columns else ():
        _check_file(s3, bucket, source, item)


def _some_of(objects: Sequence[ListedObject]) -> Iterable[ListedObject]:
    if len(objects) <= _MAX_FILES:
        return objects
    return [objects[index * (len(objects) - 1) // (_MAX_FILES - 1)] for index in range(_MAX_FILES)]


def _check_file(s3: S3Client, bucket: str, source: Source, item: ListedObject) -> None:
    uri = uri_of(bucket, item.key)
    head = read_range(s3, bucket, item, 0, _HEAD_BYTES)
    if head.startswith(_PARQUET):
        _refuse_missing(uri, source, _read_parquet_names(s3, bucket, item))
        return
    if item.key.endswith(".parquet"):
        raise SourceError(
            f"{uri} is no Parquet file, though its name says so: it does not begin with PAR1. Replace it by an "
            "undamaged file, or move it elsewhere."
        )
    text = _decode(uri, head)
    names = _first_record(uri, text, source.delimiter)
    missing = _missing(source, names)
    found = next((one for one in _DELIMITERS if not _missing(source, _first_record(uri, text, one))), None)
    if missing and found is not None:
        raise SourceError(
            f"{uri} separates its columns by {_DELIMITERS[found]}, and {source.delimiter!r} is declared. Save it with "
            f"{source.delimiter!r}, or declare delimiter={found!r} in the pipeline's Source and in the job."
        )
    _refuse_missing(uri, source, names)


def _read_parquet_names(s3: S3Client, bucket: str, item: ListedObject) -> list[str]:
    """The names of the columns on the top level, and the paths of those below."""
    uri = uri_of(bucket, item.key)
    schema = read_schema(s3, bucket, item, lambda cause, remedy: SourceError(f"{uri} {cause}. {remedy}"))
    paths = [schema.column(index).path for index in range(len(schema))]
    return list(dict.fromkeys(name for path in paths for name in (path, path.partition(".")[0])))


def _decode(uri: str, head: bytes) -> str:
    """The beginning of a file as text; a byte that is no UTF-8 is taken for Latin-1, since only names matter here."""
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, _HEAD_BYTES)
        except zlib.error as error:
            raise SourceError(f"{uri} is a damaged gzip file ({error}). Upload it again.") from error
    if head.startswith(_UTF16):
        return head.decode("utf-16", errors="replace")
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError:
        return head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def _first_record(uri: str, text: str, delimiter: str) -> list[str]:
    """The trimmed fields of the first line that is not blank."""
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
    try:
        record = next((record for record in reader if "".join(record).strip()), None)
    except csv.Error:
        record = [text]
    if record is None:
        raise SourceError(f"{uri} is empty: it has not even a header. Upload the published file again.")
    return [name.strip() for name in record]


def _missing(source: Source, names: Iterable[str]) -> list[str]:
    present = {name.lower() for name in names}
    return [name for name in source.columns if name.lower() not in present]


def _refuse_missing(uri: str, source: Source, names: Sequence[str]) -> None:
    missing = _missing(source, names)
    if not missing:
        return
    spare = sorted({name.lower() for name in names} - {name.lower() for name in source.columns})
    alike = {name: difflib.get_close_matches(name.lower(), spare, n=1) for name in missing}
    guesses = "".join(f" Did you mean {match[0]!r} by {name!r}?" for name, match in alike.items() if match)
    shown = ", ".join(_cut(name, _MAX_NAME) for name in names[:_MAX_NAMES_SHOWN])
    more = ", …" if len(names) > _MAX_NAMES_SHOWN else ""
    raise SourceError(
        f"{uri} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
        f"it has: {shown}{more}.{guesses} "
        "Upload the file with its published columns, or correct the pipeline's Source and its job."
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
