"""A Spark job's input and the address of its output in S3: what it reads, and where it writes.

An output's address is a hash of everything it depends on, so the same input is never computed twice, and the
output of other input is never taken for it. Each attempt writes a folder of its own, in it one for each dataset, and
its rejected rows beside it; `manifest` says which attempt's files are the output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from airflow_lib.aws.s3 import ListedObject, list_objects, probe_object
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import SourceError
from airflow_lib.pipeline import Source, SparkJob, Window

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Part of every address: raise it when what a job writes changes although its own code does not.
ADDRESS_VERSION = 3  # 2: sessions are in UTC; 3: a folder for each output
# Part of every address, too: an output whose manifest lacks what a later version needs is computed again.
MANIFEST_VERSION = (
    3  # 2: with the columns of its files; 3: with several outputs, and the rows and day of each file
)

_MAX_NAMES_SHOWN = 12
_MAX_KEYS_LISTED = 1000


@dataclass(frozen=True)
class ResolvedSources:
    """What a job reads: its URIs in declared order (folders end in `/`), and every object behind them.

    Two are equal if, and only if, nothing changed between them: probe again after the job, to know that it read
    the input that its output is addressed by.
    """

    uris: tuple[str, ...]
    objects: tuple[ListedObject, ...]


@dataclass(frozen=True)
class Output:
    """All that one job writes: `location` is {processed}/{pipeline}, `address` the hash of everything it depends on."""

    location: S3Location
    job: str
    address: str

    @property
    def prefix(self) -> S3Location:
        return self.location.below(self.job, self.address)

    def target_uri(self, attempt: str, name: str) -> str:
        """The folder that an attempt writes the rows of the output `name` to."""
        return self.prefix.uri(f"{attempt}/{name}/")

    def rejected_uri(self, attempt: str) -> str:
        """The folder that an attempt writes its rejected rows to."""
        return self.prefix.uri(f"{attempt}-rejected/")


def probe_sources(s3: S3Client, location: S3Location, job: SparkJob) -> ResolvedSources:
    """What `job` reads below `location`; a Source is the first of its names that has content.

    Raises SourceError naming every source that is missing or empty, ResourceError where S3 refuses.
    """
    uris: list[str] = []
    objects: list[ListedObject] = []
    missing: list[str] = []
    for source in job.files:
        names = source.names if isinstance(source, Source) else (source,)
        for name in names:
            if found := _probe_source(s3, location, name):
                uris.append(location.uri(name))
                objects.extend(found)
                break
        else:
            missing.append(" or ".join(location.uri(name) for name in names))
    if missing:
        raise SourceError(_format_missing(s3, location, job, missing))
    return ResolvedSources(tuple(uris), tuple(objects))


def address_output(
    location: S3Location,
    job: SparkJob,
    sources: ResolvedSources,
    *,
    window: Window,
    code: str,
    upstream: Mapping[str, str] | None = None,
    forced_by: str | None = None,
) -> Output:
    """The output that `job` has for these sources, below `location` ({processed}/{pipeline}).

    `code` is the hash of its code, from `shipping.hash_code`; `upstream` has the addresses of the jobs whose outputs it
    reads, by job; `forced_by` is the id of a run that takes nothing as done already. The window is part of the address
    for a windowed job only: the output of the others serves every window.
    """
    depends_on = {
        "version": ADDRESS_VERSION,
        "manifest": MANIFEST_VERSION,
        "job": job.name,
        "outputs": job.output_names,
        "partitioned_by": job.partitioned_by,
        "code": code,
        "uris": sources.uris,
        "objects": [[item.key, item.etag, item.size] for item in sources.objects],
        "upstream": {} if upstream is None else dict(upstream),
        "window": [window.start.isoformat(), window.end.isoformat()] if job.windowed else None,
        "forced_by": forced_by,
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Output(location, job.name, digest[:32])


def _probe_source(s3: S3Client, location: S3Location, name: str) -> list[ListedObject]:
    """The objects of one source, those with content; none where it is missing or empty."""
    key = location.key(name)
    if not name.endswith("/"):
        found = probe_object(s3, location.bucket, key)
        return [found] if found and found.size else []
    listed = list_objects(s3, location.bucket, key)
    return [item for item in listed if item.size and not is_hidden(item.key[len(key) :])]


def is_hidden(name: str) -> bool:
    """Whether Spark ignores the file: `_SUCCESS`, `.part-0.crc`, `_temporary/…`, but not `_y=2016/…`.

    Source: HadoopFSUtils.shouldFilterOutPathName of Spark 3.5.
    """
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in name.split("/"))


def _format_missing(s3: S3Client, location: S3Location, job: SparkJob, missing: list[str]) -> str:
    start = len(location.folder_key)
    listed = islice(list_objects(s3, location.bucket, location.folder_key), _MAX_KEYS_LISTED)
    present = sorted({_first_level(item.key[start:]) for item in listed} - {""})
    shown = ", ".join(present[:_MAX_NAMES_SHOWN]) + (", …" if len(present) > _MAX_NAMES_SHOWN else "")
    lines = "\n".join(f"- {item}: missing or empty" for item in missing)
    return (
        f"Job {job.name!r} cannot read its input:\n{lines}\n"
        f"{location.uri()}/ holds {shown or 'nothing'}. "
        "Put the files there under these names, or correct mayfly.s3.source."
    )


def _first_level(name: str) -> str:
    """The name's part before the first slash, with the slash."""
    head, slash, _ = name.partition("/")
    return head + slash
