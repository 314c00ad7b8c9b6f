"""A run's batch: the objects in S3 that it takes in, by source, fixed once and read by every step.

Each source is listed once, however many jobs read it. What lands beside these objects later is none of the run's, and
none of them may change while a job reads them (`find_changed`).
Where a batch is kept is `steps.batch`'s; the output that follows from it is in `outputs`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.s3 import ListedObject, list_objects, probe_object
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.bounded_json import MAX_JSON_BYTES
from airflow_lib.errors import OutputError, SettingsError, SourceError
from airflow_lib.pipeline import Pipeline, Source, SparkJob, Standing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VERSION = 1

_WILDCARD = re.compile(r"[*?]")
_MAX_NAMES_SHOWN = 12
_MAX_KEYS_LISTED = 1000
_FEW = 8  # so many objects of one folder are asked for one by one; of more, the folder is listed


@dataclass(frozen=True)
class ResolvedSources:
    """What a job reads: for each of its sources, in declared order, the URIs of its files, sorted by key.

    `objects` are all of them. Two are equal if, and only if, they are the same files with the same content.
    """

    uris: tuple[tuple[str, ...], ...]
    objects: tuple[ListedObject, ...]


@dataclass(frozen=True)
class Batch:
    """What a run takes in. `sources` has, by each name that a source is declared by, its objects, sorted by key.

    Only names under which there is something are in it. `location` is the URI of the source folder, `fixed_at` when
    the batch was listed, by the worker's clock.
    """

    location: str
    fixed_at: datetime
    sources: Mapping[str, tuple[ListedObject, ...]] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[ListedObject, ...]:
        """Every object once, sorted by key."""
        by_key = {item.key: item for items in self.sources.values() for item in items}
        return tuple(by_key[key] for key in sorted(by_key))

    @property
    def hash(self) -> str:
        """64 hex digits that are the same for the same objects, wherever and whenever they were listed."""
        start = len(S3Location.parse(self.location).folder_key)
        content = {
            name: [[item.key[start:], item.etag, item.size] for item in items]
            for name, items in self.sources.items()
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def missing(self, job: SparkJob) -> list[tuple[str, ...]]:
        """The names of each source of the job under which nothing is there."""
        return [names for names in _list_names(job) if not self._find(names)]

    def resolve(self, job: SparkJob) -> ResolvedSources:
        """What `job` reads of the batch; of a source with several names, the first that has content.

        Raises SourceError where a source has none.
        """
        if missing := self.missing(job):
            raise SourceError(
                f"Job {job.name!r} reads {', '.join(map(_format_names, missing))}, which this run's batch does not "
                "hold. Clear the run from provision.preflight on: it takes what is there now."
            )
        bucket = S3Location.parse(self.location).bucket
        found = [self._find(names) for names in _list_names(job)]
        uris = tuple(tuple(uri_of(bucket, item.key) for item in items) for items in found)
        return ResolvedSources(uris, tuple(item for items in found for item in items))

    def _find(self, names: Iterable[str]) -> tuple[ListedObject, ...]:
        return next((self.sources[name] for name in names if self.sources.get(name)), ())


def take_batch(s3: S3Client, location: S3Location, pipeline: Pipeline, now: datetime) -> Batch:
    """The batch that a run of `pipeline` would take in now; nothing is changed. Raises ResourceError.

    The one place that asks which kind of intake it is.
    """
    match pipeline.intake:
        case Standing():
            return _list_standing(s3, location, pipeline.jobs, now)


def encode_batch(batch: Batch) -> dict[str, Any]:
    """The batch as JSON. Raises SourceError where it is too large to be kept."""
    start = len(S3Location.parse(batch.location).folder_key)
    content = {
        "version": VERSION,
        "location": batch.location,
        "fixed_at": batch.fixed_at.isoformat(),
        "hash": batch.hash,
        "sources": {
            name: [[item.key[start:], item.etag, item.size] for item in items]
            for name, items in batch.sources.items()
        },
    }
    length = len(json.dumps(content))
    if length > MAX_JSON_BYTES // 2:
        raise SourceError(
            f"A run would take in {len(batch.objects)} files below {batch.location}, and their list alone is "
            f"{length} bytes long, {MAX_JSON_BYTES // 2} at most are kept. Put them together into larger files, or "
            "let the sources name fewer of them."
        )
    return content


def decode_batch(content: Any) -> Batch:
    """The batch of `encode_batch`'s JSON. Raises OutputError where it is none: it may be anything."""
    try:
        return _parse(content)
    except (ValueError, KeyError, TypeError, SettingsError) as error:
        raise OutputError(f"no batch that this version of Mayfly wrote ({error})") from error


def is_pattern(name: str) -> bool:
    """Whether a source's name is a pattern."""
    return _WILDCARD.search(name) is not None


def find_changed(s3: S3Client, bucket: str, objects: Sequence[ListedObject]) -> list[str]:
    """The keys of those objects that are gone or have other content now; what is beside them does not matter.

    One request an object where a folder has few of them, else one listing of the folder. Raises ResourceError.
    """
    folders: dict[str, list[ListedObject]] = defaultdict(list)
    for item in objects:
        folders[item.key.rpartition("/")[0]].append(item)
    changed: list[str] = []
    for folder, items in folders.items():
        if len(items) <= _FEW:
            now = {item.key: probe_object(s3, bucket, item.key) for item in items}
        else:
            prefix = f"{folder}/" if folder else ""
            now = {item.key: item for item in list_objects(s3, bucket, prefix)}
        changed += [item.key for item in items if now.get(item.key) != item]
    return changed


def describe_missing(s3: S3Client, location: S3Location, job: SparkJob, batch: Batch) -> str:
    """What a person is told of the job's sources under which nothing is there; empty where none lacks."""
    missing = batch.missing(job)
    if not missing:
        return ""
    start = len(location.folder_key)
    listed = islice(list_objects(s3, location.bucket, location.folder_key), _MAX_KEYS_LISTED)
    present = sorted({_first_level(item.key[start:]) for item in listed} - {""})
    shown = ", ".join(present[:_MAX_NAMES_SHOWN]) + (", …" if len(present) > _MAX_NAMES_SHOWN else "")
    lines = "\n".join(f"- {_format_names(map(location.uri, names))}: missing or empty" for names in missing)
    return (
        f"Job {job.name!r} cannot read its input:\n{lines}\n"
        f"{location.uri()}/ holds {shown or 'nothing'}. "
        "Put the files there under these names, or correct mayfly.s3.source."
    )


def _list_standing(s3: S3Client, location: S3Location, jobs: Iterable[SparkJob], now: datetime) -> Batch:
    listed: dict[str, tuple[ListedObject, ...]] = {}
    for names in (names for job in jobs for names in _list_names(job)):
        for name in names:
            if name not in listed:
                listed[name] = tuple(_list_source(s3, location, name))
            if listed[name]:
                break
    return Batch(str(location), now, {name: items for name, items in listed.items() if items})


def _list_names(job: SparkJob) -> Iterator[tuple[str, ...]]:
    """The names of each source of the job that is a file, a folder or a pattern."""
    for source in job.sources:
        yield source.names if isinstance(source, Source) else (source,)


def _list_source(s3: S3Client, location: S3Location, name: str) -> list[ListedObject]:
    """The objects under one name, those with content, sorted by key; none where it is missing or empty."""
    key = location.key(name)
    if is_pattern(name):
        return _list_pattern(s3, location, name)
    if not name.endswith("/"):
        found = probe_object(s3, location.bucket, key)
        return [found] if found and found.size else []
    listed = list_objects(s3, location.bucket, key)
    return [item for item in listed if item.size and not is_hidden(item.key[len(key) :])]


def _list_pattern(s3: S3Client, location: S3Location, pattern: str) -> list[ListedObject]:
    start = len(location.folder_key)
    literal = pattern[: next(_WILDCARD.finditer(pattern)).start()]
    listed = list_objects(s3, location.bucket, location.folder_key + literal)
    return [item for item in listed if item.size and _matches(item.key[start:], pattern)]


def _matches(name: str, pattern: str) -> bool:
    """Whether the name is what the pattern stands for: level by level, and no file that Spark ignores."""
    levels, wanted = name.split("/"), pattern.split("/")
    if len(levels) != len(wanted):
        return False
    # `[` opens a set of characters in fnmatch, and is nothing but itself here.
    return all(
        fnmatchcase(level, one.replace("[", "[[]")) and not (is_pattern(one) and is_hidden(level))
        for level, one in zip(levels, wanted, strict=True)
    )


def is_hidden(name: str) -> bool:
    """Whether Spark ignores the file: `_SUCCESS`, `.part-0.crc`, `_temporary/…`, but not `_y=2016/…`.

    Source: HadoopFSUtils.shouldFilterOutPathName of Spark 3.5.
    """
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in name.split("/"))


def _format_names(names: Iterable[str]) -> str:
    return " or ".join(names)


def _first_level(name: str) -> str:
    """The name's part before the first slash, with the slash."""
    head, slash, _ = name.partition("/")
    return head + slash


def _parse(content: Any) -> Batch:
    version = content["version"]
    if version != VERSION:
        raise ValueError(f"version {version!r:.40} is not {VERSION}")
    location = S3Location.parse(_text(content["location"]))
    fixed_at = datetime.fromisoformat(_text(content["fixed_at"]))
    if fixed_at.utcoffset() is None:
        raise ValueError("fixed_at has no time zone")
    if not isinstance(content["sources"], dict):
        raise TypeError("sources is no JSON object")
    sources = {
        name: tuple(_parse_object(location, item) for item in items)
        for name, items in content["sources"].items()
    }
    batch = Batch(str(location), fixed_at, sources)
    if batch.hash != content["hash"]:
        raise ValueError("its hash is not that of its objects")
    return batch


def _parse_object(location: S3Location, item: Any) -> ListedObject:
    key, etag, size = item
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{size!r:.40} is no size")
    return ListedObject(location.folder_key + _text(key), _text(etag), size)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r:.40} is no text")
    return value
