"""A Spark job's output in S3: where it writes, and whether that is complete.

An output's address is a hash of everything it depends on, so the same input is never computed twice, and the
output of other input is never taken for it. Each attempt writes a folder of its own; the manifest, written last and
only once, says which attempt's files are the output. COPY reads the manifest.
What a job reads is in `batch`; it runs through `livy`; `warehouse.load` loads its output.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.s3 import ListedObject, list_objects, put_if_absent, read_object
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.bounded_json import load_json
from airflow_lib.errors import OutputError, OutputRefused
from airflow_lib.pipeline import SparkJob, Window
from airflow_lib.spark.batch import ResolvedSources, is_hidden
from airflow_lib.spark.parquet_schema import ParquetColumn, list_columns, read_schema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

# Part of every address: raise it when what a job writes changes although its own code does not.
ADDRESS_VERSION = 2  # 2: sessions are in UTC
# Part of every address, too: an output whose manifest lacks what a later version needs is computed again.
MANIFEST_VERSION = 2  # 2: with the columns of its files

_MANIFEST = "manifest.json"
_COUNTS_HINT = "The job's `run` must return them."
_SUCCESS = "_SUCCESS"  # Spark's committer writes it once every file has its final name


@dataclass(frozen=True)
class Counts:
    """How many rows a job read, wrote, and rejected (by reason); `notes` are its other counts, by name.

    `judged_over` has that of which a count is a share, where that is not `read`:

    - of a reason, all rows of the source: those that lie in no window, because their date cannot be read, are rejected
      in every window. `read` counts them, too.
    - of a note of unreadable values, the values that are not blank.
    """

    read: int
    written: int
    rejected: dict[str, int] = field(default_factory=dict)
    judged_over: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any) -> Counts:
        """Counts from a job's answer or a manifest; other keys are left out.

        Raises OutputError where a count is missing or is not a whole number ≥ 0.
        """
        if not isinstance(value, dict):
            raise OutputError(f"A job's counts must be a JSON object; found {value!r}. {_COUNTS_HINT}")
        return cls(
            read=_parse_count(value, "read"),
            written=_parse_count(value, "written"),
            rejected=_parse_counts(value, "rejected"),
            judged_over=_parse_counts(value, "judged_over"),
            notes=_parse_counts(value, "notes"),
        )


@dataclass(frozen=True)
class Output:
    """One job's output: `location` is {processed}/{pipeline}, `address` the hash of everything it depends on."""

    location: S3Location
    job: str
    address: str

    @property
    def prefix(self) -> S3Location:
        return self.location.below(self.job, self.address)

    @property
    def manifest_uri(self) -> str:
        return self.prefix.uri(_MANIFEST)

    def target_uri(self, attempt: str) -> str:
        """The folder that an attempt writes its rows to."""
        return self.prefix.uri(attempt + "/")

    def rejected_uri(self, attempt: str) -> str:
        """The folder that an attempt writes its rejected rows to."""
        return self.prefix.uri(f"{attempt}-rejected/")


@dataclass(frozen=True)
class Entry:
    """One Parquet file of an output; COPY of Parquet needs its length in bytes."""

    url: str
    content_length: int


@dataclass(frozen=True)
class Manifest:
    """A complete output. Without entries no row was written, and there is nothing to COPY.

    `columns` are those of every file, in the same order; none where there are no entries.
    """

    uri: str
    attempt: str
    entries: tuple[Entry, ...]
    columns: tuple[ParquetColumn, ...]
    counts: Counts
    sha256: str


def address_output(
    location: S3Location, job: SparkJob, sources: ResolvedSources, *, window: Window, code: str
) -> Output:
    """The output that `job` has for these sources, below `location` ({processed}/{pipeline}).

    `code` is the hash of its code, from `shipping.hash_code`. The window is part of the address for a windowed job
    only: the output of the others serves every window.
    """
    depends_on = {
        "version": ADDRESS_VERSION,
        "manifest": MANIFEST_VERSION,
        "job": job.name,
        "code": code,
        "uris": sources.uris,
        "objects": [[item.key, item.etag, item.size] for item in sources.objects],
        "window": [window.start.isoformat(), window.end.isoformat()] if job.windowed else None,
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Output(location, job.name, digest[:32])


def read_manifest(s3: S3Client, output: Output) -> Manifest | None:
    """The output's manifest, or None while no attempt has completed, or where an earlier version of Mayfly wrote it.

    Whether its files are there is not looked at. Raises OutputError where it cannot be read; ResourceError where S3
    refuses.
    """
    stored = read_object(s3, output.prefix.bucket, output.prefix.key(_MANIFEST))
    return None if stored is None else _parse_manifest(output, stored)


def probe_manifest(s3: S3Client, output: Output) -> Manifest | None:
    """As `read_manifest`, once its files were seen to be there.

    Raises OutputError, too, where a file it lists is gone or changed.
    """
    manifest = read_manifest(s3, output)
    if manifest is None:
        return None
    lengths = {
        uri_of(output.prefix.bucket, item.key): item.size
        for item in _list_attempt(s3, output, manifest.attempt)
    }
    changed = [entry.url for entry in manifest.entries if lengths.get(entry.url) != entry.content_length]
    if changed:
        raise OutputError(
            f"{manifest.uri} lists {len(changed)} file(s) that are gone or of another length, first {changed[0]}. "
            "Delete the manifest, and the next run computes the output again."
        )
    return manifest


def write_manifest(s3: S3Client, output: Output, attempt: str, counts: Counts) -> Manifest:
    """The output's manifest: this attempt's, or that of an attempt that completed first.

    Raises OutputError where Spark has not committed the attempt's folder; OutputRefused where it holds no file although
    rows were written, or a file that is no Parquet, or files whose columns differ; ResourceError where S3 refuses.
    """
    parts = _list_parts(s3, output, attempt, counts)
    columns = _read_columns(s3, output, parts)
    entries = [Entry(uri_of(output.prefix.bucket, part.key), part.size) for part in parts]
    content = {
        "entries": [
            {"url": entry.url, "mandatory": True, "meta": {"content_length": entry.content_length}}
            for entry in entries
        ],
        "meta": {
            "mayfly": {
                "version": MANIFEST_VERSION,
                "job": output.job,
                "address": output.address,
                "attempt": attempt,
                "columns": [asdict(column) for column in columns],
                **asdict(counts),
            }
        },
    }
    body = json.dumps(content, indent=1, sort_keys=True).encode()
    written = put_if_absent(s3, output.prefix.bucket, output.prefix.key(_MANIFEST), body)
    manifest = probe_manifest(s3, output)
    if manifest is None:
        raise OutputError(f"{output.manifest_uri} was deleted while it was written. Run the task again.")
    if written:
        log.info("Output %s is complete: %s rows in %s files", output.prefix, counts.written, len(entries))
    elif manifest.attempt != attempt:
        log.info("Output %s was completed by attempt %s: using that one", output.prefix, manifest.attempt)
    return manifest


def _list_parts(s3: S3Client, output: Output, attempt: str, counts: Counts) -> list[ListedObject]:
    """The attempt's Parquet files."""
    folder = output.target_uri(attempt)
    start = len(output.prefix.key(attempt + "/"))
    listed = _list_attempt(s3, output, attempt)
    if not any(item.key[start:] == _SUCCESS for item in listed):
        raise OutputError(
            f"{folder} has no {_SUCCESS} marker, which Spark writes last, so the output is incomplete. "
            "Clear the task: it writes a new attempt."
        )
    if counts.written == 0:  # Spark writes one file even without rows; COPY needs none
        return []
    parts = [
        item
        for item in listed
        if item.size and item.key.endswith(".parquet") and not is_hidden(item.key[start:])
    ]
    if not parts:
        raise OutputRefused(
            f"Job {output.job!r} says that it wrote {counts.written} rows, but {folder} holds no Parquet file. "
            "Correct the job: it must write its rows to `target`, as Parquet."
        )
    return parts


def _read_columns(s3: S3Client, output: Output, parts: list[ListedObject]) -> tuple[ParquetColumn, ...]:
    """The columns of all parts: COPY takes each file's columns by their position, whatever their names.

    It is one small request a part, one after the other; Spark writes as many parts as the last stage has partitions,
    200 by default.
    """
    first: tuple[ParquetColumn, ...] = ()
    for part in parts:
        uri = uri_of(output.prefix.bucket, part.key)

        def to_error(cause: str, _: str, uri: str = uri) -> OutputRefused:
            return OutputRefused(
                f"{uri}, a part of what job {output.job!r} wrote, {cause}. Correct the job: it must write its rows to "
                "`target` as Parquet, by Spark's own writer, and nothing else."
            )

        columns = list_columns(read_schema(s3, output.prefix.bucket, part, to_error))
        first = first or columns
        if columns != first:
            raise OutputRefused(
                f"Job {output.job!r} wrote parts with different columns, and COPY takes them by position: "
                f"{_first_difference(first, columns)} in {uri_of(output.prefix.bucket, parts[0].key)} and in {uri}, in "
                "this order. Correct the job: it must write its rows by one `write`, of one DataFrame."
            )
    return first


def _first_difference(one: tuple[ParquetColumn, ...], other: tuple[ParquetColumn, ...]) -> str:
    """The first column in which they differ, in words."""
    for position, (mine, others) in enumerate(zip_longest(one, other), start=1):
        if mine != others:
            return f"column {position} is {mine or 'not there'} and {others or 'not there'}"
    return ""


def _list_attempt(s3: S3Client, output: Output, attempt: str) -> list[ListedObject]:
    return list(list_objects(s3, output.prefix.bucket, output.prefix.key(attempt + "/")))


def _parse_manifest(output: Output, body: bytes) -> Manifest | None:
    """None for a manifest of an earlier version."""
    uri = output.manifest_uri
    try:
        content = load_json(body, OutputError)
        about = content["meta"]["mayfly"]
        version = int(about["version"])
        if version == MANIFEST_VERSION:
            return Manifest(
                uri,
                str(about["attempt"]),
                tuple(
                    Entry(str(item["url"]), int(item["meta"]["content_length"]))
                    for item in content["entries"]
                ),
                tuple(ParquetColumn(str(item["name"]), str(item["type"])) for item in about["columns"]),
                Counts.parse(about),
                hashlib.sha256(body).hexdigest(),
            )
    except (ValueError, KeyError, TypeError, OutputError) as error:
        raise OutputError(
            f"{uri} is not a manifest that Mayfly wrote ({type(error).__name__}: {error}). "
            "Delete it, and the next run computes the output again."
        ) from error
    if version < MANIFEST_VERSION:
        return None
    raise OutputError(
        f"{uri} is of version {version}; this version of Mayfly reads manifests of version {MANIFEST_VERSION}. "
        "Deploy the same version of Mayfly on every host, or delete the manifest: the next run computes the "
        "output again."
    )


def _parse_count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise OutputError(
            f"A job's count {name!r} must be a whole number ≥ 0; found {count!r}. {_COUNTS_HINT}"
        )
    return count


def _parse_counts(value: dict[str, Any], name: str) -> dict[str, int]:
    counts = value.get(name) or {}
    if not isinstance(counts, dict):
        raise OutputError(
            f"A job's counts {name!r} must be a JSON object of whole numbers; found {counts!r}. {_COUNTS_HINT}"
        )
    return {str(key): _parse_count(counts, key) for key in counts}
