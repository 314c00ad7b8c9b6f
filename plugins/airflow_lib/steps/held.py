"""What the warehouse holds, told outside it: a copy of its ledger in S3 beside the register, by generation.

It counts for the snapshot of that generation alone, which the register names, and must never tell of more than is in
it. So each load empties it under the loads' lock before it changes anything, and the run that gives up the warehouse
writes it anew under the same lock. Whatever ends otherwise (a run that dies, a teardown by the janitor) leaves it
empty, and then nothing is known.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_lib.aws.errors import AWS_ERRORS, translate_aws_errors
from airflow_lib.aws.s3 import put_object_if, read_object, read_stored
from airflow_lib.errors import MayflyError
from airflow_lib.lifecycle.document import Document, Phase, SlotState
from airflow_lib.naming import generation_of
from airflow_lib.pipeline import Fresh, Pipeline, Severity
from airflow_lib.resources import snapshots
from airflow_lib.spark.batch import Batch
from airflow_lib.spark.manifest import read_manifest
from airflow_lib.spark.rejects import refuse_rejects
from airflow_lib.steps import Run
from airflow_lib.steps.transform import resolve_job
from airflow_lib.warehouse.connection import Connection
from airflow_lib.warehouse.held import RecordedLoad, holds, wanted_of
from airflow_lib.warehouse.ledger import decode_loads, export_loads
from airflow_lib.warehouse.sql_hash import hash_sql

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Idle:
    """Why a run has nothing to do. `leftovers`: a slot is not empty, so the run has to look whether it may go."""

    why: str
    leftovers: bool


def find_idle(run: Run, batch: Batch, document: Document, *, sure: bool = True) -> Idle | None:
    """Why the run has nothing to do, as the register's `document` stands; None where it has, or that is not known.

    `sure`: the snapshot is looked for, too. Raises nothing of AWS: what cannot be asked is not known.
    """
    if run.force:
        return None
    if not batch.objects and run.pipeline.intake.may_be_empty:
        why = "nothing has come in"
    elif any(batch.missing(job) for job in run.pipeline.jobs) or asks_the_clock(run.pipeline):
        return None
    elif told := _find_held(run, batch, document.warehouse, sure=sure):
        why = told
    else:
        return None
    leftovers = document.emr.phase is not Phase.EMPTY or document.warehouse.phase is not Phase.EMPTY
    return Idle(why, leftovers)


def forget_loads(run: Run, generation: int) -> None:
    """Empty the copy of this generation's ledger, which is about to tell too little. Raises ResourceError."""
    location = run.state_location
    with translate_aws_errors(f"write {location.uri(_name(generation))}"):
        run.aws.s3.put_object(Bucket=location.bucket, Key=location.key(_name(generation)), Body=b"")


def store_loads(run: Run, connection: Connection, generation: int) -> None:
    """Write the copy of this generation's ledger. Raises WarehouseError, ResourceError."""
    location = run.state_location
    key = location.key(_name(generation))

    def store(body: bytes) -> None:
        # Only in place of what was there a moment ago: a request that is late must not replace a later one's.
        etag = read_stored(run.aws.s3, location.bucket, key).etag
        with translate_aws_errors(f"write {location.uri(_name(generation))}"):
            put_object_if(run.aws.s3, location.bucket, key, body, etag=etag)

    loads = export_loads(connection, run.pipeline.name, generation, store)
    log.info("%s loads of generation %s are told outside the warehouse", loads, generation)


def read_loads(run: Run, generation: int) -> tuple[RecordedLoad, ...] | None:
    """The loads that are told of this generation; None where nothing is. Raises WarehouseError, ResourceError."""
    location = run.state_location
    body = read_object(run.aws.s3, location.bucket, location.key(_name(generation)))
    return decode_loads(body, run.pipeline.name, generation) if body else None


def asks_the_clock(pipeline: Pipeline) -> bool:
    """Whether a check may fail of the same content later on: to ask it, the run needs the warehouse.

    A source that stands still is just what Fresh is there to tell. What only warns is not worth a warehouse.
    """
    checks = [*pipeline.checks, *(check for answer in pipeline.answers for check in answer.checks)]
    return any(isinstance(check, Fresh) and check.severity == Severity.ERROR for check in checks)


def is_there(run: Run, snapshot: str) -> bool:
    """Whether a warehouse can be restored from the snapshot. Raises ResourceError."""
    view = snapshots.probe_snapshot(run.aws.redshift, snapshot)
    return view is not None and view.ready


def _find_held(run: Run, batch: Batch, state: SlotState, *, sure: bool) -> str | None:
    """What the warehouse's snapshot holds already, in words; None where that is not all of the run's."""
    generation = generation_of(run.environment, state.snapshot) if state.snapshot else None
    if state.phase is not Phase.EMPTY or state.snapshot is None or generation is None:
        return None
    try:
        loads = read_loads(run, generation)
        if loads is None:
            return None
        outputs = _find_outputs(run, batch)
        if outputs is None:
            return None
        wanted = wanted_of(run.pipeline, outputs, hash_sql(run.pipeline))
        load = holds(loads, run.window, wanted)
        if load is None or (sure and not is_there(run, state.snapshot)):
            return None
    except (MayflyError, *AWS_ERRORS) as error:
        log.warning("what the warehouse holds is not known: %s", error)
        return None
    return (
        f"the warehouse (snapshot {state.snapshot}) holds {run.window} of these {len(batch.objects)} objects already, "
        f"since run {load.run_id} loaded them at {load.loaded_at:%Y-%m-%d %H:%M:%S} UTC"
    )


def _find_outputs(run: Run, batch: Batch) -> dict[str, str] | None:
    """By job, the hash of the manifest of what it makes of the batch; None where one is yet to be computed.

    As the ledger has them: without the jobs whose outputs no table takes, and only other jobs read.
    Raises SourceError where a job rejected more than its declaration allows by now.
    """
    loaded = {run.pipeline.job_of(table.output).name for table in run.pipeline.staging}
    hashes = {}
    for job in run.pipeline.jobs:
        output = resolve_job(run, job, batch).output
        manifest = read_manifest(run.aws.s3, output)
        if manifest is None:
            return None
        refuse_rejects(job, output, manifest)
        if job.name in loaded:
            hashes[job.name] = manifest.sha256
    return hashes


def _name(generation: int) -> str:
    return f"loads/g{generation}.json"
