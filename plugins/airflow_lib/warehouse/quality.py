"""Checks: each a SELECT of failing rows, and what it found.

The SELECTs are `sql_templates/shared/checks/`, one a kind of check. Whether a failing check makes a run red
is its severity's matter, and the caller's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
from airflow_lib.warehouse.load import columns_of, plain
from airflow_lib.warehouse.sql import ROOT, render, statements

logger = logging.getLogger(__name__)

MAX_SAMPLES = 5


@dataclass(frozen=True)
class Verdict:
    """What a check found; every value can be written as JSON."""

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
    root: Path = ROOT,
) -> Verdict:
    """The check's verdict, with at most 5 failing rows as samples.

    `written` are the rows that each job wrote, `schema` the run's staging; only Complete needs them and the window.
    Raises WarehouseError where the check itself cannot be asked.
    """
    sql = render_check(pipeline, check, window=window, schema=schema, written=written, root=root)
    count = render("shared/checks/failing_count", root=root, failing=sql)
    sample = render("shared/checks/failing_samples", root=root, failing=sql, limit=MAX_SAMPLES)

    def work(cursor: Cursor) -> tuple[int, tuple[dict[str, Any], ...]]:
        cursor.execute(*statements(count))
        ((failing,),) = cursor.fetchall()
        return int(failing), _samples(cursor, sample) if failing else ()

    failing, samples = transact(conn, work, what=f"Check {check.name}")
    verdict = Verdict(check.name, check.severity, failing == 0, failing, samples, sql)
    _log(verdict)
    return verdict


def render_check(
    pipeline: Pipeline,
    check: Check,
    *,
    window: Window,
    schema: str,
    written: Mapping[str, int],
    root: Path = ROOT,
) -> str:
    """The SELECT of the rows that fail the check. Raises WarehouseError."""
    name, values = _template(pipeline, check, window, schema, written)
    (sql,) = statements(render(f"shared/checks/{name}", root=root, **values))
    return sql


def _template(
    pipeline: Pipeline, check: Check, window: Window, schema: str, written: Mapping[str, int]
) -> tuple[str, dict[str, Any]]:
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
            return "complete", _complete(pipeline, check, window, schema, written)


def _complete(
    pipeline: Pipeline, check: Complete, window: Window, schema: str, written: Mapping[str, int]
) -> dict[str, Any]:
    if check.job not in written:
        raise WarehouseError(
            f"Check {check.name}: nothing tells how many rows job {check.job} wrote; its manifest should."
        )
    fact = next((fact for fact in pipeline.facts if fact.name == check.fact), None)
    if fact is None:
        raise WarehouseError(f"Check {check.name}: {check.fact} is not a Fact of {pipeline.name}; name one.")
    return {
        "schema": schema,
        "staging": check.staging,
        "fact": fact.name,
        "column": fact.window_column,
        "window_start": window.start,
        "window_end": window.end,
        "written": written[check.job],
    }


def _samples(cursor: Cursor, script: str) -> tuple[dict[str, Any], ...]:
    cursor.execute(*statements(script))
    columns = columns_of(cursor)
    return tuple(
        dict(zip(columns, (plain(value) for value in row), strict=True)) for row in cursor.fetchall()
    )


def _log(verdict: Verdict) -> None:
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
