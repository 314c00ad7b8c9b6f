"""A run's staging tables: each filled by COPY from a job's output.

A COPY that is repeated because its role was too young waits in the triggerer; all else works in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_lib.aws.causes import Cause, cause_of
from airflow_lib.errors import NotReady, WarehouseError
from airflow_lib.naming import Names, Slot, staging_schema
from airflow_lib.pipeline import Staging
from airflow_lib.resources.iam_roles import LAG_S, are_young
from airflow_lib.spark.outputs import Manifest
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
            pinned = read_output(run, table)
            rows = _stage(run, connection, table, pinned.manifest, access.copy_role_arn)
        return Done({"rows": rows})


def read_output(run: Run, table: Staging) -> Pinned:
    """The output that this run loads into the table. Raises OutputRefused where its columns are not the table's."""
    job = run.pipeline.job_of(table.output)
    pinned = read_pinned(run, job)
    if pinned.manifest.entries:
        written = [(column.name, column.type) for column in pinned.manifest.columns]
        refuse_other_columns(run.pipeline.name, table, written, job=job.name)
    return pinned


def _stage(run: Run, connection: Connection, table: Staging, manifest: Manifest, role_arn: str) -> int:
    """The rows copied. Raises NotReady where Redshift cannot use the role yet, and it is young; WarehouseError."""
    try:
        return warehouse.copy_staging(
            connection,
            run.pipeline,
            table.name,
            schema=staging_schema(run.run_id),
            manifest_url=manifest.uri if manifest.entries else None,
            role_arn=role_arn,
            manifest=manifest.sha256,
        )
    except WarehouseError as error:
        if cause_of("", error.message) is Cause.LAG and _copy_role_is_young(run):
            raise NotReady(f"COPY's role is too young: {error.message}") from error
        raise


def written_rows(pinned: Mapping[str, Pinned]) -> dict[str, int]:
    return {job: one.manifest.counts.written for job, one in pinned.items()}


def stage_what_is_missing(
    run: Run, connection: Connection, tables: Sequence[Staging], role_arn: str
) -> dict[str, Pinned]:
    """The jobs' outputs; staging that does not hold them is made again.

    An earlier release dropped it, and the task was cleared later; or the job was cleared, and not its COPY.
    """
    pinned = {run.pipeline.job_of(table.output).name: read_output(run, table) for table in tables}
    there = warehouse.list_staging(connection, staging_schema(run.run_id))
    for table in tables:
        manifest = pinned[run.pipeline.job_of(table.output).name].manifest
        if there.get(table.name.lower()) != manifest.sha256:
            _stage(run, connection, table, manifest, role_arn)
    return pinned


def _copy_role_is_young(run: Run) -> bool:
    document, now = run.register.read_with_time()
    names = Names(run.environment, Slot.WAREHOUSE, document.warehouse.generation)
    return are_young(run.aws, names, now)
