"""The run's batch: fixed by its preflight, kept in S3 beside the run's other files, and read by every step after it.

A retry of the preflight keeps it. A preflight that a person cleared (Airflow's `max_tries` has grown) takes what is
there now, so that whoever corrects the input and clears the run gets the new files.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from airflow_lib.aws.errors import status_of, translate_aws_errors
from airflow_lib.aws.s3 import StoredObject, put_object_if, read_stored
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.bounded_json import load_json
from airflow_lib.errors import InputChanged, OutputError, ResourceError
from airflow_lib.naming import run_key
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.batch import (
    Batch,
    decode_batch,
    encode_batch,
    find_changed,
    take_batch,
)
from airflow_lib.steps import Run

log = logging.getLogger(__name__)

# 412: somebody wrote since we read. 409: somebody is writing.
_OVERTAKEN = frozenset({409, 412})
_MAX_SHOWN = 5


@dataclass(frozen=True)
class Kept:
    """The batch that is kept, and in which series of tries (`Run.max_tries`) the preflight fixed it."""

    batch: Batch
    max_tries: int


@dataclass(frozen=True)
class Fixed:
    """The run's batch, and when it was written down, by S3's clock: until then the run had looked at the sources."""

    batch: Batch
    at: datetime


def look_at_sources(run: Run) -> Batch:
    """What the run would take in now. Raises ResourceError."""
    return take_batch(run.aws.s3, run.source, run.pipeline, run.services.clock.now())


def probe_batch(run: Run) -> Batch | None:
    """The run's batch; None where none is fixed, or what is kept is none. Raises ResourceError."""
    kept = _parse_or_warn(run, _read(run))
    return kept.batch if kept else None


def probe_fixed(run: Run) -> Batch | None:
    """The batch that this series of tries of the preflight fixed already, which it keeps. Raises ResourceError."""
    kept = _parse_or_warn(run, _read(run))
    return kept.batch if kept and kept.max_tries >= run.max_tries else None


def fix_batch(run: Run, batch: Batch) -> Batch:
    """The run's batch from now on: `batch`, unless this series of tries of the preflight has fixed one already.

    Raises SourceError where it is too large; ResourceError, also where somebody else writes it just now.
    """
    stored = _read(run)
    kept = _parse_or_warn(run, stored)
    if kept is not None and kept.max_tries >= run.max_tries:
        return kept.batch
    content = {"run_id": run.run_id, "max_tries": run.max_tries, "batch": encode_batch(batch)}
    body = json.dumps(content).encode()
    with translate_aws_errors(f"write {_uri(run)}"):
        try:
            put_object_if(run.aws.s3, run.logs.bucket, _key(run), body, etag=stored.etag)
        except ClientError as error:
            if status_of(error) not in _OVERTAKEN:
                raise
            return _read_back(run, batch, error)
    log.info("the batch is fixed: %s objects, %s", len(batch.objects), _uri(run))
    return batch


def read_batch(run: Run) -> Batch:
    """The batch that the run's preflight fixed. Raises OutputError where there is none; ResourceError."""
    return read_fixed(run).batch


def read_fixed(run: Run) -> Fixed:
    """As `read_batch`, with the time at which it was fixed."""
    stored = _read(run)
    if stored.body is None or stored.modified is None:
        raise OutputError(
            f"{_uri(run)} is not there, so it is not known which files this run takes in. Clear the run from "
            "provision.preflight on."
        )
    return Fixed(_parse(run, stored.body).batch, stored.modified)


def refuse_changed(run: Run, job: SparkJob) -> None:
    """Raise InputChanged where a file that the job has read is not the batch's any more; ResourceError."""
    batch = read_batch(run)
    bucket = S3Location.parse(batch.location).bucket
    changed = find_changed(run.aws.s3, bucket, batch.resolve(job).objects)
    if not changed:
        return
    shown = ", ".join(uri_of(bucket, key) for key in changed[:_MAX_SHOWN])
    more = f" and {len(changed) - _MAX_SHOWN} more" if len(changed) > _MAX_SHOWN else ""
    raise InputChanged(
        f"The input of job {job.name!r} changed after the run's batch was fixed: {shown}{more} replaced or deleted. So "
        "its output may match neither version, and is not used. Once nothing writes there any more, clear the run from "
        "provision.preflight on: it takes what is there then."
    )


def _read_back(run: Run, batch: Batch, error: ClientError) -> Batch:
    """What another process of this task wrote just now, or this one, whose answer was lost."""
    kept = _parse_or_warn(run, _read(run))
    if kept is None or kept.max_tries < run.max_tries:
        raise ResourceError(
            f"{_uri(run)} was written by somebody else just now. Run the task again."
        ) from error
    log.info(
        "the batch was fixed already: %s objects instead of %s", len(kept.batch.objects), len(batch.objects)
    )
    return kept.batch


def _read(run: Run) -> StoredObject:
    return read_stored(run.aws.s3, run.logs.bucket, _key(run))


def _parse_or_warn(run: Run, stored: StoredObject) -> Kept | None:
    if stored.body is None:
        return None
    try:
        return _parse(run, stored.body)
    except OutputError as error:
        log.warning("%s It is written anew.", error)
        return None


def _parse(run: Run, body: bytes) -> Kept:
    """Raises OutputError: it may be anything."""

    def unusable(cause: str) -> OutputError:
        return OutputError(
            f"Which files this run takes in cannot be read: {_uri(run)} is {cause}. Clear the run from "
            "provision.preflight on: it is written again."
        )

    content: Any = load_json(body, unusable)
    if not isinstance(content, dict):
        raise unusable("no JSON object")
    max_tries = content.get("max_tries")
    if not isinstance(max_tries, int) or isinstance(max_tries, bool) or content.get("run_id") != run.run_id:
        raise unusable("not this run's, or does not say which try wrote it")
    try:
        return Kept(decode_batch(content.get("batch")), max_tries)
    except OutputError as error:
        raise unusable(error.message) from error


def _key(run: Run) -> str:
    return run.logs.key("runs", run_key(run.run_id), "batch.json")


def _uri(run: Run) -> str:
    return uri_of(run.logs.bucket, _key(run))
