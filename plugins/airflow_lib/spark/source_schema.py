"""The columns of a source, read from S3 before a cluster is made: a CSV's header, a Parquet file's footer.

Only a few small ranges of a file are read, and of a folder a few files, so that the preflight stays a matter of
seconds; the job itself looks at every file. What a file holds is data from outside: whatever it is, it ends in names
or in a SourceError that says what to do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_lib.aws.s3 import ListedObject, read_range
from airflow_lib.aws.s3_location import uri_of
from airflow_lib.errors import SourceError
from airflow_lib.pipeline import Source, SparkJob
from airflow_lib.spark.batch import ResolvedSources
from airflow_lib.spark.csv_header import BLANKS, decode_head, first_record, head_length, looks_like_values
from airflow_lib.spark.parquet_schema import read_schema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MAX_FILES = 8  # of one source: the first, the last, and some between
_MAX_NAMES_SHOWN = 40
_MAX_NAME = 60
_PARQUET = b"PAR1"
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
# Notes beside the data of a folder, which the jobs leave out, too (sparkjobs/files.py).
_DOCUMENT = re.compile(
    r"^(readme|license|copying|changelog)\b|\.(txt|md|rst|html?|pdf|docx?|xml|md5|sha\d+)$", re.IGNORECASE
)


def check_sources(s3: S3Client, bucket: str, job: SparkJob, found: ResolvedSources) -> None:
    """Compare every file of the job's sources, as they were `found`, with what the job declares of it.

    Raises SourceError that tells what is wrong with each source; ResourceError where S3 refuses.
    """
    by_uri = {uri_of(bucket, item.key): item for item in found.objects}
    wrong: list[str] = []
    for source, uris in zip(job.sources, found.uris, strict=True):
        if isinstance(source, Source):
            try:
                check_columns(s3, bucket, source, [by_uri[uri] for uri in uris])
            except SourceError as error:
                wrong.append(error.message)
    if wrong:
        raise SourceError("\n".join(wrong))


def check_columns(s3: S3Client, bucket: str, source: Source, objects: Sequence[ListedObject]) -> None:
    """Compare what a source's files hold with the columns that it declares, whatever their order and case.

    Where all are documents by name, one of them may be the data, such as data.txt beside readme.txt: one with the
    columns is enough, and many are left to the job.
    Raises SourceError naming the first file that lacks one; ResourceError where S3 refuses.
    """
    if not source.columns:
        return
    data = [item for item in objects if not _DOCUMENT.search(item.key.rpartition("/")[2])]
    for item in _some_of(data):
        _check_file(s3, bucket, source, item)
    if data or len(objects) > _MAX_FILES:
        return
    refused: list[SourceError] = []
    for item in objects:
        try:
            _check_file(s3, bucket, source, item)
        except SourceError as error:
            refused.append(error)
    if refused and len(refused) == len(objects):
        raise refused[0]


def _some_of(objects: Sequence[ListedObject]) -> Iterable[ListedObject]:
    if len(objects) <= _MAX_FILES:
        return objects
    return [objects[index * (len(objects) - 1) // (_MAX_FILES - 1)] for index in range(_MAX_FILES)]


def _check_file(s3: S3Client, bucket: str, source: Source, item: ListedObject) -> None:
    uri = uri_of(bucket, item.key)
    head = read_range(s3, bucket, item, 0, head_length(item.key))
    if head.startswith(_PARQUET):
        # `a=1/` in the path is a column, which the file lacks.
        folders = [part.partition("=")[0].strip(BLANKS) for part in item.key.split("/")[:-1] if "=" in part]
        _refuse_missing(uri, source, [*_read_parquet_names(s3, bucket, item), *folders])
        return
    if item.key.endswith(".parquet"):
        raise SourceError(
            f"{uri} is no Parquet file, though its name says so: it does not begin with PAR1. Replace it by an "
            "undamaged file, or move it elsewhere."
        )
    text = decode_head(uri, head, is_whole=len(head) >= item.size)
    if text is None:
        return
    names = first_record(uri, text, source.delimiter)
    missing = _missing(source, names)
    found = next((one for one in _DELIMITERS if not _missing(source, first_record(uri, text, one))), None)
    if missing and found is not None:
        raise SourceError(
            f"{uri} separates its columns by {_DELIMITERS[found]}, and {source.delimiter!r} is declared. Save it with "
            f"{source.delimiter!r}, or declare delimiter={found!r} in the pipeline's Source and in the job."
        )
    if len(missing) == len(source.columns) and looks_like_values(names):
        raise SourceError(
            f"{uri} begins with a row of values, not with a header. Put the line with the columns' names in front: "
            f"{source.delimiter.join(source.columns)}"
        )
    _refuse_missing(uri, source, names)
    present = [name.lower() for name in names]
    twice = [name for name in source.columns if present.count(name.lower()) > 1]
    if twice:
        raise SourceError(
            f"{uri} has more than one column {', '.join(twice)}, and nothing says which one is meant. "
            "Upload it with each published column once."
        )


def _read_parquet_names(s3: S3Client, bucket: str, item: ListedObject) -> list[str]:
    """The names of the columns on the top level, and the paths of those below."""
    uri = uri_of(bucket, item.key)
    schema = read_schema(s3, bucket, item, lambda cause, remedy: SourceError(f"{uri} {cause}. {remedy}"))
    paths = [schema.column(index).path for index in range(len(schema))]
    names = (name.strip(BLANKS) for path in paths for name in (path, path.partition(".")[0]))
    return list(dict.fromkeys(names))


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
