"""The address of a Spark job's output in S3: what it depends on, and where it writes. What it reads is in `batch`.

An output's address is a hash of everything it depends on, so the same input is never computed twice, and the
output of other input is never taken for it. Each attempt writes a folder of its own, in it one for each dataset, and
its rejected rows beside it; `manifest` says which attempt's files are the output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.pipeline import SparkJob, Window
from airflow_lib.spark.batch import ResolvedSources

# Part of every address: raise it when what a job writes changes although its own code does not.
ADDRESS_VERSION = 3  # 2: sessions are in UTC; 3: a folder for each output
# Part of every address, too: an output whose manifest lacks what a later version needs is computed again.
MANIFEST_VERSION = (
    3  # 2: with the columns of its files; 3: with several outputs, and the rows and day of each file
)


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

    @property
    def progress_uri(self) -> str:
        """The file in which the driver tells how far it is (sparkjobs.progress); the next attempt replaces it."""
        return self.prefix.uri("progress.txt")

    def rejected_uri(self, attempt: str) -> str:
        """The folder that an attempt writes its rejected rows to."""
        return self.prefix.uri(f"{attempt}-rejected/")


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
