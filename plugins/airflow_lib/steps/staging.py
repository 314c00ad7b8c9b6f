"""A run's staging tables: each filled by COPY from a job's output.

A COPY that is repeated because its role was too young waits in the triggerer; all else works in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_lib.aws.causes import Cause, cause_of
from airflow_lib.errors import NotReady, WarehouseError
from airflow_lib.naming import Names, Slot, staging_schema
from airflow_lib.pipeline import Staging
from airflow_lib.resources.iam_roles import LAG_S, are_young
from airflow_lib.spark.copy_manifest import CopyManifest, ensure_copy_manifest, render_copy_manifest
from airflow_lib.steps import Done, Json, Run
from airflow_lib.steps.clusters import connected
from airflow_lib.steps.pinned_output import Pinned, read_pinned
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.connection import Connection
from airflow_lib.warehouse.copy_columns import refuse_other_columns


@dataclass(frozen=True)
class CopyStaging(PollingStep):
    """COPY of one job's output into this run's own staging schema; from the start where it is repeated.

    It waits only while Redshift does not see the role or its policy yet: then the next COPY is the poll's.
    """

    table: str

    @property
    def name(self) -> str:
        return f"{type(self).__name__}-{self.table}"

    def timeout_s(self, run: Run) -> float:
        """The role is not young for longer, and then the refusal is an error; and that COPY may be tried to the end."""
        return 2 * LAG_S

    def keep_leases(self, run: Run, state: Json) -> None:
        """Nothing: `connected` renews them."""

    def advance(self, run: Run, state: Json) -> Done:
        table = next(table for table in run.pipeline.staging if table.name == self.table)
        with connected(run) as (access, connection):
            output = find_output(run, table, read_pinned(run, run.pipeline.job_of(table.output)))
            rows = _stage(run, connection, output, access.copy_role_arn)
        return Done({"rows": rows})


@dataclass(frozen=True)
class StagedOutput:
    """The output that a run loads into a staging table: which it is, and the files that its window's rows are in."""

    table: Staging
    pinned: Pinned
    copy: CopyManifest


@dataclass(frozen=True)
class Staged:
    """What a run's staging holds.

    By job: the hashes of the `manifests` of their outputs, and when the run took each for its own. By output: how many
    rows of the run's window were `written`, which are all rows where the job does not write for all windows at once.
    """

    manifests: Mapping[str, str]
    pinned_at: Mapping[str, datetime]
    written: Mapping[str, int]


def find_output(run: Run, table: Staging, pinned: Pinned) -> StagedOutput:
    """The output that this run loads into the table, of what its job wrote.

    Raises OutputRefused where its columns are not the table's.
    """
    copy = render_copy_manifest(pinned.output, pinned.manifest, table.output, run.window)
    if copy.files:
        columns = pinned.manifest.datasets[table.output].columns
        written = [(column.name, column.type) for column in columns]
        refuse_other_columns(run.pipeline.name, table, written, job=pinned.output.job)
    return StagedOutput(table, pinned, copy)


def _stage(run: Run, connection: Connection, staged: StagedOutput, role_arn: str) -> int:
    """The rows copied. Raises NotReady where Redshift cannot use the role yet, and it is young; WarehouseError."""
    copy = staged.copy
    if copy.files:
        ensure_copy_manifest(run.aws.s3, staged.pinned.output, copy)
    try:
        return warehouse.copy_staging(
            connection,
            run.pipeline,
            staged.table.name,
            schema=staging_schema(run.run_id),
            manifest_url=copy.uri if copy.files else None,
            role_arn=role_arn,
            manifest=copy.sha256,
        )
    except WarehouseError as error:
        if cause_of("", error.message) is Cause.LAG and _copy_role_is_young(run):
            raise NotReady(f"COPY's role is too young: {error.message}") from error
        raise


def stage_what_is_missing(
    run: Run, connection: Connection, tables: Sequence[Staging], role_arn: str
) -> Staged:
    """What the staging holds; tables that do not hold it are made again.

    An earlier release dropped it, and the task was cleared later; or the job was cleared, and not its COPY.
    """
    jobs = {table.name: run.pipeline.job_of(table.output) for table in tables}
    pinned = {job.name: read_pinned(run, job) for job in jobs.values()}
    outputs = [find_output(run, table, pinned[jobs[table.name].name]) for table in tables]
    there = warehouse.list_staging(connection, staging_schema(run.run_id))
    for one in outputs:
        if there.get(one.table.name.lower()) != one.copy.sha256:
            _stage(run, connection, one, role_arn)
    return Staged(
        manifests={job: one.manifest.sha256 for job, one in pinned.items()},
        pinned_at={job: one.at for job, one in pinned.items()},
        written={one.table.output: one.copy.rows for one in outputs},
    )


def _copy_role_is_young(run: Run) -> bool:
    document, now = run.register.read_with_time()
    names = Names(run.environment, Slot.WAREHOUSE, document.warehouse.generation)
    return are_young(run.aws, names, now)
