"""Checks: each is one SELECT of failing rows, and the verdict says what it found.

The SELECTs are in `sql_templates/shared/checks/`, one for each kind of check. Whether a failing check makes a run red
is decided by the caller, from its severity: `publish` asks those of severity error inside the load's transaction.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg2

from airflow_lib.bounded_json import as_text
from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import (
    AcceptedValues,
    Between,
    Check,
    Complete,
    Fresh,
    Holds,
    NotNull,
    Pipeline,
    References,
    RowCount,
    Severity,
    Unique,
    Window,
)
from airflow_lib.warehouse.connection import Cursor
from airflow_lib.warehouse.cursor import MAX_VALUE, fetch_count, fetch_result
from airflow_lib.warehouse.sql import Script, render, statements

logger = logging.getLogger(__name__)

MAX_SAMPLES = 5
_MAX_SHOWN = 3  # samples of each failing check, in a message
_ADVICE = "Correct the input, the job or the SQL, then clear the run."


@dataclass(frozen=True)
class Verdict:
    """What a check found; every value can be written as JSON. `sql` is the SELECT of the failing rows.

    `before` is how many failing rows there were before the load, where that was asked.
    """

    name: str
    severity: Severity
    failing_rows: int
    samples: tuple[dict[str, Any], ...] = ()
    sql: str = ""
    before: int = 0

    @property
    def passed(self) -> bool:
        return self.failing_rows == 0

    @property
    def was_there(self) -> bool:
        """Whether the load that the check was asked in did not bring the failing rows."""
        return 0 < self.failing_rows <= self.before

    def as_json(self) -> dict[str, Any]:
        """For people to read with the run: of a check that failed with samples and SQL."""
        told: dict[str, Any] = {
            "name": self.name,
            "severity": self.severity,
            "passed": self.passed,
            "failing_rows": self.failing_rows,
        }
        if self.before:
            told["failing_rows_before"] = self.before
        return told if self.passed else {**told, "samples": list(self.samples), "sql": self.sql}


@dataclass(frozen=True)
class CheckContext:
    """What checks are told of the run: where its staging tables are, and what Complete compares.

    `written` are the rows of the window that were written of each output, `schema` is the run's staging schema, and
    `kept` says of the tables that the load left as they were how many rows of the window they hold.
    """

    pipeline: Pipeline
    window: Window
    schema: str
    written: Mapping[str, int]
    kept: Mapping[str, int] = field(default_factory=dict)

    def locate(self, table: str) -> str | tuple[str, str]:
        """The table's name, with its schema where it is one of staging, or an answer's."""
        if table in {one.name for one in self.pipeline.staging}:
            return (self.schema, table)
        if table in {answer.name for answer in self.pipeline.answer_tables}:
            return (self.pipeline.answers_schema, table)
        return table


@dataclass(frozen=True)
class Question:
    """A check as SQL: the SELECT of its failing rows, their count, and some of them."""

    check: Check
    failing: str
    count: Script
    samples: Script


def hash_check(check: Check) -> str:
    """A short hash of the declaration: a check that was changed is another one, although it kept its name."""
    return hashlib.sha256(repr(check).encode()).hexdigest()[:12]


def tables_of(check: Check) -> set[str]:
    """The tables that the check reads."""
    names = (getattr(check, role, None) for role in ("table", "to_table", "staging"))
    return {name for name in names if name is not None}


def render_check(check: Check, context: CheckContext) -> Question:
    """The check's SQL, which is the same inside a load's transaction and after it.

    Raises WarehouseError where it is not one SELECT, or Complete cannot be told what to compare.
    """
    template, values = _template(check, context)
    script = render(f"shared/checks/{template}", **values)
    failing, *more = statements(script)
    if more:
        raise WarehouseError(
            f"Check {check.name} holds more than one statement. Let its predicate be one condition."
        )
    count = render("shared/checks/failing_count", failing=failing)
    samples = render("shared/checks/failing_samples", failing=failing, limit=MAX_SAMPLES)
    return Question(check, failing, Script(count, script.template), Script(samples, script.template))


def judge(
    cursor: Cursor, questions: Iterable[Question], *, before: Mapping[str, int] | None = None
) -> tuple[Verdict, ...]:
    """The checks' verdicts, with at most 5 failing rows each as samples, in the cursor's transaction.

    `before` says of a check, by name, how many failing rows there were before the load. Where they are no more now, no
    sample is read, since the transaction goes on: Redshift has no savepoint, so a sample that cannot be read spoils it
    for all statements after it. For the same reason every check is counted before any sample is read: no verdict is
    lost with one. Raises psycopg2.Error, with the check's name and statement as notes, where a check cannot be run.
    """
    counted = [(question, count_failing(cursor, question)) for question in questions]
    verdicts = []
    for question, rows in counted:
        check = question.check
        earlier = (before or {}).get(check.name, 0)
        verdict = Verdict(check.name, check.severity, rows, sql=question.failing, before=earlier)
        if rows and not verdict.was_there:
            verdict = replace(verdict, samples=_fetch_samples(cursor, question.samples))
        verdicts.append(verdict)
    for verdict in verdicts:
        _log_verdict(verdict)
    return tuple(verdicts)


def count_failing(cursor: Cursor, question: Question) -> int:
    """How many rows fail the check. Raises psycopg2.Error, with the check's name as a note."""
    try:
        return fetch_count(cursor, question.count)
    except psycopg2.Error as error:
        error.add_note(f"That is check {question.check.name}.")
        raise


def describe_failing(failing: Collection[Verdict], advice: str = _ADVICE) -> str:
    """What these checks found, for people: every check's count first, since what is long is cut, then SQL and samples.

    The samples are rows of the table, three of each check at most (docs/security.md says where they go).
    """
    counts = [f"Check {one.name} found {_describe_count(one)}." for one in failing]
    queries = [f"{one.name}:\n{one.sql}" for one in failing if one.sql]
    samples = [f"{one.name}: {list(one.samples[:_MAX_SHOWN])}" for one in failing if one.samples]
    parts = [advice, *counts]
    parts += ["Their queries:", *queries] if queries else []
    parts += ["Such rows:", *samples] if samples else []
    return "\n".join(parts)


def _describe_count(verdict: Verdict) -> str:
    found = f"{verdict.failing_rows} failing rows, none was expected"
    if verdict.was_there:
        return f"{found}; they were there before this load"
    return f"{found}; {verdict.before} of them were there before this load" if verdict.before else found


def _template(check: Check, context: CheckContext) -> tuple[str, dict[str, Any]]:
    """The template of the check's kind, and the values that it takes."""
    if isinstance(check, Complete):
        return _complete(check, context)
    table = {"table": context.locate(check.table)}
    match check:
        case NotNull():
            return "not_null", {**table, "columns": check.columns}
        case Unique():
            return "unique", {**table, "columns": check.columns}
        case References():
            to_table = context.locate(check.to_table)
            return "references", {
                **table,
                "column": check.column,
                "to_table": to_table,
                "to_column": check.to_column,
            }
        case Holds():
            return "holds", {**table, "predicate": check.predicate}
        case AcceptedValues():
            return "accepted_values", {**table, "column": check.column, "accepted": check.values}
        case Between():
            return "between", {**table, "column": check.column, "low": check.low, "high": check.high}
        case Fresh():
            max_age_s = round(check.max_age_h * 3600)
            return "fresh", {**table, "column": check.column, "max_age_s": max_age_s}
        case RowCount():
            return "row_count", {**table, "at_least": check.at_least, "at_most": check.at_most}


def _complete(check: Complete, context: CheckContext) -> tuple[str, dict[str, Any]]:
    """The template, and the values that it takes: of a table without windows no rows of it are counted."""
    output = next((one.output for one in context.pipeline.staging if one.name == check.staging), "")
    if output not in context.written:
        raise WarehouseError(
            f"Check {check.name} needs to know how many rows were written for {check.staging}, which the manifest of "
            "its job should say. Let the check name a Staging table of the pipeline."
        )
    written = context.written[output]
    staged = {"schema": context.schema, "staging": check.staging, "written": written}
    window = context.pipeline.windows.get(check.table)
    if window is None:
        return "complete_staging", staged
    return "complete", {
        **staged,
        "table": check.table,
        "column": window.column,
        "window_start": context.window.start,
        "window_end": context.window.end,
        "expected": context.kept.get(check.table, written),
    }


def _fetch_samples(cursor: Cursor, script: Script) -> tuple[dict[str, Any], ...]:
    """Failing rows, for people. That they cannot be read must not lose the verdict."""
    try:
        result = fetch_result(cursor, script)
    except (WarehouseError, psycopg2.Error) as error:
        return ({"unreadable": as_text(str(error), MAX_VALUE)},)
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
