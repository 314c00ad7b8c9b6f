"""Running rendered SQL on a cursor, and reading rows as values that JSON can hold."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import psycopg2

from airflow_lib.bounded_json import as_json, as_text
from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.connection import Cursor
from airflow_lib.warehouse.sql import Script, statements
from airflow_lib.warehouse.statement_log import record

logger = logging.getLogger(__name__)


# What an answer may hold at most, and how much text one value: it is kept as an XCom, for people to read.
MAX_ROWS = 1000
MAX_RESULT = 200_000  # characters
MAX_VALUE = 1000  # characters

_MAX_STATEMENT = 200  # characters of a statement in a message: enough to find it in its file


@dataclass(frozen=True)
class Result:
    """Rows and their column names; every value can be written as JSON. `left_out` are the rows that were too many."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    left_out: int = 0


def run_script(cursor: Cursor, script: Script) -> None:
    """Execute every statement of a rendered template, in order. psycopg2's error of one names it (`_execute`)."""
    for statement in statements(script):
        started = time.monotonic()
        _execute(cursor, script, statement)
        logger.debug("%.2f s: %s", time.monotonic() - started, statement.splitlines()[0])


def fetch_rows(cursor: Cursor, script: Script) -> list[tuple[Any, ...]]:
    """The rows of a template of one SELECT, as the warehouse returns them. psycopg2's error names it (`_execute`).

    Raises WarehouseError where a value is none that Python has.
    """
    (statement,) = statements(script)
    _execute(cursor, script, statement)
    try:
        return cursor.fetchall()
    except (ValueError, OverflowError) as error:
        # psycopg2's types: a year before 1 or after 9999, an interval of more than 999,999,999 days, broken UTF-8
        raise WarehouseError(
            f"A row cannot be read: {error}. Let the query return that column as text: CAST(… AS VARCHAR)."
        ) from error


def fetch_count(cursor: Cursor, script: Script) -> int:
    """The one number of a template of one SELECT COUNT."""
    ((count,),) = fetch_rows(cursor, script)
    return int(count)


def fetch_result(cursor: Cursor, script: Script) -> Result:
    """The rows of a template of one SELECT as JSON (`bounded_json.as_json`), as many as an XCom should hold."""
    rows = fetch_rows(cursor, script)
    columns = tuple(as_text(column.name, MAX_VALUE) for column in cursor.description or ())
    kept: list[tuple[Any, ...]] = []
    length = 0
    for row in rows[:MAX_ROWS]:
        values = tuple(as_json(value, max_text=MAX_VALUE) for value in row)
        length += sum(len(str(value)) for value in values)
        if length > MAX_RESULT and kept:
            break
        kept.append(values)
    return Result(columns, tuple(kept), len(rows) - len(kept))


def _execute(cursor: Cursor, script: Script, statement: str) -> None:
    """Execute one statement; where that fails, the error bears a note of its file and how it begins."""
    record(statement, script)
    try:
        cursor.execute(statement)
    except psycopg2.Error as error:
        error.add_note(f"In {script.template}: {as_text(' '.join(statement.split()), _MAX_STATEMENT)}")
        raise
