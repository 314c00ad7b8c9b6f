"""What the checks of a table found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import Check, Complete, Severity
from airflow_lib.steps import Done, Failed, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.clusters import connected
from airflow_lib.steps.staging import stage_what_is_missing
from airflow_lib.warehouse.connection import Connection, transact
from airflow_lib.warehouse.publish import read_verdicts
from airflow_lib.warehouse.quality import (
    CheckContext,
    Verdict,
    describe_failing,
    judge,
    render_check,
    tables_of,
)
from airflow_lib.warehouse.sql import Script
from airflow_lib.warehouse.statement_log import record

_THERE_BEFORE = (
    "The window was loaded, for it brought no further rows of these: load the windows that hold them again, or correct "
    "them by hand."
)


@dataclass(frozen=True)
class VerifyTable(ImmediateStep):
    """The verdicts of one table's checks.

    What the load has asked before its commit is read from the ledger. The others are asked now, as is any that the load
    did not know of, or not as it is declared now; failed where one of severity error finds rows. The load recorded such
    a one only where its rows were there before.
    """

    table: str

    def begin(self, run: Run) -> Outcome:
        with connected(run) as (access, connection):
            recorded = read_verdicts(connection, run.pipeline, run.run_id)
            checks = run.pipeline.checks_of(self.table)
            told = [_tell(run, check, recorded[check.name]) for check in checks if check.name in recorded]
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
        written = stage_what_is_missing(run, connection, staged, role_arn).written if staged else {}
        context = CheckContext(run.pipeline, run.window, staging_schema(run.run_id), written)
        questions = [render_check(check, context) for check in checks]
        return transact(
            connection, lambda cursor: judge(cursor, questions), what=f"Checking table {self.table}"
        )


def _tell(run: Run, check: Check, verdict: Verdict) -> Verdict:
    """The recorded verdict, with the query that finds its rows where there are any.

    What Complete compares is known to the load alone.
    """
    if isinstance(check, Complete):
        return verdict
    context = CheckContext(run.pipeline, run.window, staging_schema(run.run_id), written={})
    failing = render_check(check, context).failing
    record(failing, Script(failing, f"check {check.name}, which the load has asked before its commit"))
    return verdict if verdict.passed else replace(verdict, sql=failing)
