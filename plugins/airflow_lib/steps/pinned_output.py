"""Which output of each job a run loads: written down in S3 by its transform task, and read by the tasks after it.

A source or code that changes in between does not matter to the run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime

from airflow_lib.aws.s3 import read_stored
from airflow_lib.bounded_json import load_json
from airflow_lib.errors import OutputError
from airflow_lib.naming import run_key
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.manifest import Manifest, probe_manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.steps import Run
from airflow_lib.steps.serialization import to_json

HEX = re.compile(r"[0-9a-f]{32}\Z")  # an output's address, and an attempt (uuid4)


def pin_output(run: Run, output: Output) -> None:
    """Write down which output this run loads, so that a source or code that changes later does not matter to it.

    Its window and jobs, too: who looks for rejected rows (`rejected_rows`) reads no DAG.
    """
    window = [run.window.start.isoformat(), run.window.end.isoformat()]
    content = {"run_id": run.run_id, "address": output.address, "window": window}
    intake = type(run.pipeline.intake).__name__
    body = json.dumps({**content, "intake": intake, "jobs": to_json(run.pipeline.jobs)}).encode()
    run.aws.s3.put_object(Bucket=run.logs.bucket, Key=_pin_key(run, output.job), Body=body)


@dataclass(frozen=True)
class Pinned:
    """The output that a run loads, and when it was written down, by S3's clock."""

    output: Output
    manifest: Manifest
    at: datetime

    def uri(self, name: str) -> str:
        """The folder with the rows of the dataset `name`."""
        return self.output.target_uri(self.manifest.attempt, name)


def read_pinned(run: Run, job: SparkJob) -> Pinned:
    """The output that this run's session made, or found complete.

    Raises OutputError where the job has not run in this run, or what it made is gone.
    """
    pin = read_stored(run.aws.s3, run.logs.bucket, _pin_key(run, job.name))
    if pin.body is not None and pin.modified is not None:
        output = Output(run.processed, job.name, parse_pin(pin.body, job.name))
        manifest = probe_manifest(run.aws.s3, output)
        if manifest is not None:
            return Pinned(output, manifest, pin.modified)
    raise OutputError(f"Job {job.name!r} has no complete output in this run. Clear transform.{job.name}.")


def find_pinned(run: Run, job: SparkJob) -> str | None:
    """The address of the output that this run loads, or loaded; None where none is written down.

    Whether the output is still there is not looked at. Raises OutputError where it cannot be read; ResourceError.
    """
    pin = read_stored(run.aws.s3, run.logs.bucket, _pin_key(run, job.name))
    return None if pin.body is None else parse_pin(pin.body, job.name)


def parse_pin(body: bytes, job: str) -> str:
    """The output's address that a pin holds. Raises OutputError where it is not one that Mayfly wrote."""

    def unusable(cause: str) -> OutputError:
        return OutputError(
            f"Which output of job {job!r} this run loads cannot be read: what was written down is {cause}. "
            f"Clear transform.{job}: it is written again."
        )

    content = load_json(body, unusable)
    address = content.get("address") if isinstance(content, dict) else None
    if not isinstance(address, str) or not HEX.match(address):
        raise unusable("no JSON object with an address of 32 hex digits")
    return address


def _pin_key(run: Run, job: str) -> str:
    return run.logs.key("runs", run_key(run.run_id), "outputs", f"{job}.json")
