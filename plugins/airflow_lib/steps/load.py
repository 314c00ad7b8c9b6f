"""Steps in the warehouse: tables, COPY, the one load transaction, checks, answers.

Each looks up the warehouse in the register, checks this run's lease, and renews it while it works, in a worker; the
one exception is a COPY that is repeated because its role was too young, which the triggerer polls.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from airflow_lib.aws.causes import Cause, cause_of
from airflow_lib.errors import NotReady, WarehouseError
from airflow_lib.naming import Names, Slot, staging_schema
from airflow_lib.pipeline import Check, Complete, Severity, Staging
from airflow_lib.resources.iam_roles import LAG_S, are_young
from airflow_lib.spark.outputs import Manifest
from airflow_lib.steps import Done, Failed, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.clusters import WarehouseAccess, find_warehouse
from airflow_lib.steps.leases import keeping_lease, list_holders
from airflow_lib.steps.pinned_output import Pinned, read_pinned
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.connection import Connection, read, transact
from airflow_lib.warehouse.copy_columns import refuse_other_columns
from airflow_lib.warehouse.publish import WindowLoad, load_window, read_verdicts
from airflow_lib.warehouse.quality import (
    CheckContext,
    Verdict,
    describe_failing,
    judge,
    render_check,
    tables_of,
)

log = logging.getLogger(__name__)

_THERE_BEFORE = (
    "The window was loaded, for it brought no further rows of these: load the windows that hold them again, or correct "
    "them by hand."
)


@dataclass(frozen=True)
class CreateTables(ImmediateStep):
    """Creates the pipeline's tables where they are absent, and drops the staging of runs that are over."""

    def begin(self, run: Run) -> Outcome:
        keep = {staging_schema(run_id) for run_id in list_holders(run, Slot.WAREHOUSE)}
        with _connected(run) as (_, connection):
            warehouse.create_tables(connection, run.pipeline)
            dropped = warehouse.drop_orphan_staging(connection, keep)
        return Done({"created": [table.name for table in run.pipeline.warehouse_tables], "dropped": dropped})


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
        """Nothing: `_connected` renews them."""

    def advance(self, run: Run, state: Json) -> Done:
        table = next(table for table in run.pipeline.staging if table.name == self.table)
        with _connected(run) as (access, connection):
            pinned = _read_output(run, table)
            rows = _stage(run, connection, table, pinned.manifest, access.copy_role_arn)
        return Done({"rows": rows})


@dataclass(frozen=True)
class LoadWindow(ImmediateStep):
    """The window's rows, dimensions, facts and ledger row in one transaction, unless a check of severity error refuses.

    The result: of each table its rows in all, of a fact also those of the window, now and before, and the checks'
    verdicts. Failed where the load brings rows that fail a check, or would empty the window: then nothing was loaded.
    """

    def begin(self, run: Run) -> Outcome:
        with _connected(run) as (access, connection):
            pinned = _stage_what_is_missing(run, connection, run.pipeline.staging, access.copy_role_arn)
            load = WindowLoad(
                run.pipeline,
                run.run_id,
                run.window,
                staging_schema(run.run_id),
                manifests={job: one.manifest.sha256 for job, one in pinned.items()},
                written=_written(pinned),
                pinned_at={job: one.at for job, one in pinned.items()},
            )
            loaded = load_window(connection, load)
        result: Json = {
            "tables": {name: dict(rows) for name, rows in loaded.tables.items()},
            "checks": [verdict.as_json() for verdict in loaded.verdicts],
        }
        if loaded.kept:
            result["kept"] = list(loaded.kept)
        return Failed(result, loaded.refused) if loaded.refused else Done(result)


@dataclass(frozen=True)
class VerifyTable(ImmediateStep):
    """The verdicts of one table's checks.

    What the load has asked before its commit is read from the ledger. The others are asked now, as is any that the load
    did not know of, or not as it is declared now; failed where one of severity error finds rows. The load recorded such
    a one only where its rows were there before.
    """

    table: str

    def begin(self, run: Run) -> Outcome:
        with _connected(run) as (access, connection):
            recorded = read_verdicts(connection, run.pipeline, run.run_id)
            checks = run.pipeline.checks_of(self.table)
            told = [
                _with_query(run, check, recorded[check.name]) for check in checks if check.name in recorded
            ]
            unasked = [check for check in checks if check.name not in recorded]
            verdicts = [*told, *self._ask(run, connection, unasked, access.copy_role_arn)]
        result: Json = {"table": self.table, "checks": [verdict.as_json() for verdict in verdicts]}
        failing = [one for one in verdicts if not one.passed and one.severity == Severity.ERROR]
        if not failing:
            return Done(result)
        were_there = all(one.was_there for one in failing)
        found = describe_failing(failing, _THERE_BEFORE) if were_there else describe_failing(failing)
        return Failed(result, f"Table {self.table}: {found}")

    def _ask(
        self, run: Run, connection: Connection, checks: Sequence[Check], role_arn: str
    ) -> tuple[Verdict, ...]:
        read = {name for check in checks for name in tables_of(check)}
        staged = [table for table in run.pipeline.staging if table.name in read]
        pinned = _stage_what_is_missing(run, connection, staged, role_arn) if staged else {}
        context = CheckContext(run.pipeline, run.window, staging_schema(run.run_id), _written(pinned))
        questions = [render_check(check, context) for check in checks]
        return transact(
            connection, lambda cursor: judge(cursor, questions), what=f"Checking table {self.table}"
        )


def _with_query(run: Run, check: Check, verdict: Verdict) -> Verdict:
    """The recorded verdict with the query that finds its rows; what Complete compares is known to the load alone."""
    if verdict.passed or isinstance(check, Complete):
        return verdict
    context = CheckContext(run.pipeline, run.window, staging_schema(run.run_id), written={})
    return replace(verdict, sql=render_check(check, context).failing)


@dataclass(frozen=True)
class Answer(ImmediateStep):
    """One question's answer: columns and rows."""

    name: str

    def begin(self, run: Run) -> Outcome:
        access = find_warehouse(run)
        with keeping_lease(run, Slot.WAREHOUSE):
            result = read(
                access.connect, lambda connection: warehouse.ask(connection, run.pipeline, self.name)
            )
        for row in result.rows[:10]:
            log.info("%s", dict(zip(result.columns, row, strict=True)))
        answer: Json = {"columns": list(result.columns), "rows": [list(row) for row in result.rows]}
        if result.left_out:
            log.warning("%s rows are too many to be kept here and were left out", result.left_out)
            answer["rows_left_out"] = result.left_out
        return Done(answer)


@contextmanager
def _connected(run: Run) -> Iterator[tuple[WarehouseAccess, Connection]]:
    """A connection for as long as the run's lease is kept."""
    access = find_warehouse(run)
    with keeping_lease(run, Slot.WAREHOUSE), closing(access.connect()) as connection:
        yield access, connection


def _read_output(run: Run, table: Staging) -> Pinned:
    """The output that this run loads into the table. Raises OutputRefused where its columns are not the table's."""
    pinned = read_pinned(run, run.pipeline.job(table.job))
    if pinned.manifest.entries:
        written = [(column.name, column.type) for column in pinned.manifest.columns]
        refuse_other_columns(run.pipeline.name, table, written)
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


def _written(pinned: Mapping[str, Pinned]) -> dict[str, int]:
    return {job: one.manifest.counts.written for job, one in pinned.items()}


def _copy_role_is_young(run: Run) -> bool:
    document, now = run.register.read_with_time()
    names = Names(run.environment, Slot.WAREHOUSE, document.warehouse.generation)
    return are_young(run.aws, names, now)


def _stage_what_is_missing(
    run: Run, connection: Connection, tables: Sequence[Staging], role_arn: str
) -> dict[str, Pinned]:
    """The jobs' outputs; staging that does not hold them is made again.

    An earlier release dropped it, and the task was cleared later; or the job was cleared, and not its COPY.
    """
    pinned = {table.job: _read_output(run, table) for table in tables}
    there = warehouse.list_staging(connection, staging_schema(run.run_id))
    for table in tables:
        manifest = pinned[table.job].manifest
        if there.get(table.name.lower()) != manifest.sha256:
            _stage(run, connection, table, manifest, role_arn)
    return pinned
