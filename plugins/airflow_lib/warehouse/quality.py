"""Checks: each is one SELECT of failing rows, and the verdict says what it found.

The SELECTs are in `sql_templates/shared/checks/`, one for each kind of check. Whether a failing check makes a run red
is decided by the caller, from its severity.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import (
    AcceptedValues,
    Check,
    Complete,
    Holds,
    NotNull,
    Pipeline,
    References,
    Severity,
    Unique,
    Window,
)
from airflow_lib.warehouse.connection import Connection, Cursor, transact
from airflow_lib.warehouse.cursor import fetch_count, fetch_result
from airflow_lib.warehouse.sql import render, statements

logger = logging.getLogger(__name__)

MAX_SAMPLES = 5


@dataclass(frozen=True)
class Verdict:
    """What a check found; every value can be written as JSON. `sql` is the SELECT of the failing rows."""

    name: str
    severity: Severity
    passed: bool
    failing_rows: int
    samples: tuple[dict[str, Any], ...]
    sql: str


def run_check(
    conn: Connection,
    pipeline: Pipeline,
    check: Check,
    *,
    window: Window,
    schema: str,
    written: Mapping[str, int],
) -> Verdict:
    """The check's verdict, with at most 5 failing rows as samples.

    `written` are the rows that each job wrote, `schema` the run's staging schema; these two and the window matter to
    Complete alone. Raises WarehouseError where the check itself cannot be run.
    """
    template, values = _template(pipeline, check, window, schema, written)
    (failing,) = statements(render(f"shared/checks/{template}", **values))
    count = render("shared/checks/failing_count", failing=failing)
    sample = render("shared/checks/failing_samples", failing=failing, limit=MAX_SAMPLES)

    def work(cursor: Cursor) -> tuple[int, tuple[dict[str, Any], ...]]:
        rows = fetch_count(cursor, count)
        return rows, _fetch_samples(cursor, sample) if rows else ()

    rows, samples = transact(conn, work, what=f"Check {check.name}")
    verdict = Verdict(check.name, check.severity, rows == 0, rows, samples, failing)
    _log_verdict(verdict)
    return verdict


def _template(
    pipeline: Pipeline, check: Check, window: Window, schema: str, written: Mapping[str, int]
) -> tuple[str, dict[str, Any]]:
    """The template of the check's kind, and the values that it takes."""
    match check:
        case NotNull():
            return "not_null", {"table": check.table, "columns": check.columns}
        case Unique():
            return "unique", {"table": check.table, "columns": check.columns}
        case References():
            return "references", {
                "table": check.table,
                "column": check.column,
                "to_table": check.to_table,
                "to_column": check.to_column,
            }
        case Holds():
            return "holds", {"table": check.table, "predicate": check.predicate}
        case AcceptedValues():
            return "accepted_values", {
                "table": check.table,
                "column": check.column,
                "accepted": check.values,
            }
        case Complete():
            return "complete", _complete_values(pipeline, check, window, schema, written)


def _complete_values(
    pipeline: Pipeline, check: Complete, window: Window, schema: str, written: Mapping[str, int]
) -> dict[str, Any]:
    if check.job not in written:
        raise WarehouseError(
            f"Check {check.name} needs to know how many rows job {check.job} wrote, which its manifest should say. "
            "Let the check name the job whose output its staging table takes."
        )
    fact = next((fact for fact in pipeline.facts if fact.name == check.fact), None)
    if fact is None:
        raise WarehouseError(
            f"Check {check.name}: {check.fact} is not a Fact of {pipeline.name}. Let the check name one."
        )
    return {
        "schema": schema,
        "staging": check.staging,
        "fact": fact.name,
        "column": fact.window_column,
        "window_start": window.start,
        "window_end": window.end,
        "written": written[check.job],
    }


def _fetch_samples(cursor: Cursor, script: str) -> tuple[dict[str, Any], ...]:
    """Failing rows, for people. That they cannot be read must not lose the verdict."""
    try:
        result = fetch_result(cursor, script)
    except WarehouseError as error:
        return ({"unreadable": error.message},)
    return tuple(dict(zip(result.columns, row, strict=True)) for row in result.rows)


def _log_verdict(verdict: Verdict) -> None:
    if verdict.passed:
        logger.info("Check %s: passed", verdict.name)
    else:
        logger.warning(
            "Check %s (%s): %s failing rows, such as %s",
            verdict.name,
            verdict.severity,
            verdict.failing_rows,
            verdict.samples[:1],
        )
