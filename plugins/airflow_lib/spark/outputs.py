"""A Spark job's input and output in S3: what it reads, where it writes, and whether that is complete.

An output is addressed by a hash of everything it depends on, so equal input is never computed twice and
unequal input never mixed up. Each attempt writes a folder of its own; the manifest, written last and once,
says which attempt's files are the output. COPY reads the manifest.
Running the job is `livy`'s, loading its output `warehouse`'s.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.s3 import ListedObject, list_objects, probe_object, put_if_absent, read_object
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.errors import OutputError, SourceError
from airflow_lib.pipeline import OneOf, SparkJob, Window

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

# Part of every address: raise it when what a job writes changes without its own code changing.
ADDRESS_VERSION = 1
MANIFEST_VERSION = 1

_MANIFEST = "manifest.json"
_SUCCESS = "_SUCCESS"  # Spark's committer writes it when every file is in its place
_NAMES_SHOWN = 12
_KEYS_LOOKED_AT = 1000


@dataclass(frozen=True)
class ResolvedSources:
    """What a job reads: its URIs in declared order (folders end in `/`), and every object behind them.

    Equal if, and only if, nothing changed: ask again after the job to know that it read what is addressed.
    """

    uris: tuple[str, ...]
    objects: tuple[ListedObject, ...]


@dataclass(frozen=True)
class Counts:
    """What a job says about its rows."""

    read: int
    written: int
    rejected: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any) -> Counts:
        """Counts from a job's answer or a manifest; keys that are no counts are left out.

        Raises OutputError where a count is missing or is not a whole number ≥ 0.
        """
        if not isinstance(value, dict):
            raise OutputError(f"A job's counts are a JSON object; found {value!r}.")
        return cls(
            read=_whole(value, "read"),
            written=_whole(value, "written"),
            rejected=_whole_by_name(value, "rejected"),
            notes=_whole_by_name(value, "notes"),
        )


@dataclass(frozen=True)
class Output:
    """One job's output: `location` is {processed}/{pipeline}, `address` the hash of all it depends on."""

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
        """The folder that an attempt writes."""
        return self.prefix.uri(attempt + "/")

    def rejected_uri(self, attempt: str) -> str:
        """The folder that an attempt writes its rejected rows to."""
        return self.prefix.uri(f"{attempt}-rejected/")


@dataclass(frozen=True)
class Entry:
    """One Parquet file of an output; COPY of Parquet wants its length in bytes."""

    url: str
    content_length: int


@dataclass(frozen=True)
class Manifest:
    """A complete output. Without entries nothing was written, and there is nothing to COPY."""

    uri: str
    attempt: str
    entries: tuple[Entry, ...]
    counts: Counts
    sha256: str


def probe_sources(s3: S3Client, location: S3Location, job: SparkJob) -> ResolvedSources:
    """What `job` reads below `location`; a OneOf is the first of its names that has content.

    Raises SourceError naming every source that is missing or empty, ResourceError where S3 refuses.
    """
    uris: list[str] = []
    objects: list[ListedObject] = []
    missing: list[str] = []
    for source in job.sources:
        names = source.names if isinstance(source, OneOf) else (source,)
        found = next(((name, seen) for name in names if (seen := _probe_source(s3, location, name))), None)
        if found is None:
            missing.append(" or ".join(location.uri(name) for name in names))
        else:
            uris.append(location.uri(found[0]))
            objects.extend(found[1])
    if missing:
        raise SourceError(_tell_missing(s3, location, job, missing))
    return ResolvedSources(tuple(uris), tuple(objects))


def address_output(
    location: S3Location, job: SparkJob, sources: ResolvedSources, *, window: Window, code: str
) -> Output:
    """Where `job`'s output belongs below `location` ({processed}/{pipeline}); `code` is `shipping.hash_code`'s.

    The window counts for a windowed job alone: the others' output serves every run.
    """
    depends_on = {
        "version": ADDRESS_VERSION,
        "job": job.name,
        "code": code,
        "uris": sources.uris,
        "objects": [[item.key, item.etag, item.size] for item in sources.objects],
        "window": [window.start.isoformat(), window.end.isoformat()] if job.windowed else None,
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Output(location, job.name, digest[:32])


def probe_manifest(s3: S3Client, output: Output) -> Manifest | None:
    """The output's manifest, or None while no attempt has completed.

    Raises OutputError where it cannot be read, or a file it lists is gone or changed; ResourceError where S3
    refuses.
    """
    stored = read_object(s3, output.prefix.bucket, output.prefix.key(_MANIFEST))
    if stored is None:
        return None
    manifest = _parse_manifest(output, stored)
    lengths = {
        uri_of(output.prefix.bucket, item.key): item.size
        for item in _list_attempt(s3, output, manifest.attempt)
    }
    lost = [entry.url for entry in manifest.entries if lengths.get(entry.url) != entry.content_length]
    if lost:
        raise OutputError(
            f"{manifest.uri} lists {len(lost)} file(s) that are gone or of another length, first {lost[0]}. "
            "Delete the manifest, and the next run computes the output again."
        )
    return manifest


def write_manifest(s3: S3Client, output: Output, attempt: str, counts: Counts) -> Manifest:
    """The output's manifest: this attempt's, or the one of an attempt that completed before it.

    Raises OutputError where Spark has not committed the attempt's folder, or it holds no file although rows
    were written; ResourceError where S3 refuses.
    """
    entries = _list_entries(s3, output, attempt, counts)
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
        log.info("Output %s was completed by attempt %s: it is used", output.prefix, manifest.attempt)
    return manifest


def _probe_source(s3: S3Client, location: S3Location, name: str) -> list[ListedObject]:
    """The objects behind one name; none where it is missing or empty."""
    key = location.key(name)
    if not name.endswith("/"):
        found = probe_object(s3, location.bucket, key)
        return [found] if found and found.size else []
    listed = list_objects(s3, location.bucket, key)
    return [item for item in listed if item.size and not _hidden(item.key[len(key) :])]


def _hidden(name: str) -> bool:
    """Whether Spark passes over the file: `_SUCCESS`, `.part-0.crc`, `_temporary/…`, but not `_y=2016/…`.

    Source: HadoopFSUtils.shouldFilterOutPathName of Spark 3.5.
    """
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in name.split("/"))


def _tell_missing(s3: S3Client, location: S3Location, job: SparkJob, missing: list[str]) -> str:
    start = len(location.folder_key)
    listed = islice(list_objects(s3, location.bucket, location.folder_key), _KEYS_LOOKED_AT)
    there = sorted({_first_level(item.key[start:]) for item in listed} - {""})
    shown = ", ".join(there[:_NAMES_SHOWN]) + (", …" if len(there) > _NAMES_SHOWN else "")
    lines = "\n".join(f"- {item}: missing or empty" for item in missing)
    return (
        f"Job {job.name!r} cannot read its input:\n{lines}\n"
        f"{location.uri()}/ holds {shown or 'nothing'}. "
        "Put the files there under these names, or correct mayfly.s3.source."
    )


def _first_level(name: str) -> str:
    head, slash, _ = name.partition("/")
    return head + slash


def _list_entries(s3: S3Client, output: Output, attempt: str, counts: Counts) -> tuple[Entry, ...]:
    folder = output.target_uri(attempt)
    start = len(output.prefix.key(attempt + "/"))
    listed = _list_attempt(s3, output, attempt)
    if not any(item.key[start:] == _SUCCESS for item in listed):
        raise OutputError(
            f"{folder} has no {_SUCCESS} marker, so Spark did not finish writing it. "
            "Run the task again: it writes a new attempt."
        )
    if counts.written == 0:  # Spark leaves one file without rows; COPY needs none
        return ()
    entries = tuple(
        Entry(uri_of(output.prefix.bucket, item.key), item.size)
        for item in listed
        if item.size and item.key.endswith(".parquet") and not _hidden(item.key[start:])
    )
    if not entries:
        raise OutputError(
            f"Job {output.job!r} says that it wrote {counts.written} rows, but {folder} holds no Parquet file. "
            "The job must write its rows to `target`."
        )
    return entries


def _list_attempt(s3: S3Client, output: Output, attempt: str) -> list[ListedObject]:
    return list(list_objects(s3, output.prefix.bucket, output.prefix.key(attempt + "/")))


def _parse_manifest(output: Output, body: bytes) -> Manifest:
    uri = output.manifest_uri
    try:
        content = json.loads(body)
        about = content["meta"]["mayfly"]
        version = about["version"]
        if version == MANIFEST_VERSION:
            entries = tuple(
                Entry(str(item["url"]), int(item["meta"]["content_length"])) for item in content["entries"]
            )
            attempt, counts = str(about["attempt"]), Counts.parse(about)
    except (ValueError, KeyError, TypeError, OutputError) as error:
        raise OutputError(
            f"{uri} is not a manifest of ours ({type(error).__name__}: {error}). "
            "Delete it, and the next run computes the output again."
        ) from error
    if version != MANIFEST_VERSION:
        raise OutputError(
            f"{uri} is of version {version}, this Mayfly reads {MANIFEST_VERSION}. "
            "Deploy one release everywhere, or delete the manifest to have it computed again."
        )
    return Manifest(uri, attempt, entries, counts, hashlib.sha256(body).hexdigest())


def _whole(value: dict[str, Any], name: str) -> int:
    number = value.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise OutputError(f"A job's count {name!r} is a whole number ≥ 0; found {number!r}.")
    return number


def _whole_by_name(value: dict[str, Any], name: str) -> dict[str, int]:
    numbers = value.get(name) or {}
    if not isinstance(numbers, dict):
        raise OutputError(f"A job's counts {name!r} are a JSON object of whole numbers; found {numbers!r}.")
    return {str(key): _whole(numbers, key) for key in numbers}
