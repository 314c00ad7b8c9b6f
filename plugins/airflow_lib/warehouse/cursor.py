"""Running rendered SQL on a cursor, and reading rows as values that JSON can hold."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from airflow_lib.bounded_json import as_json, as_text
from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.connection import Cursor
from airflow_lib.warehouse.sql import statements

logger = logging.getLogger(__name__)


# What an answer may hold at most, and how much text one value: it is kept as an XCom, for people to read.
MAX_ROWS = 1000
MAX_RESULT = 200_000  # characters
MAX_VALUE = 1000  # characters


@dataclass(frozen=True)
class Result:
    """Rows and their column names; every value can be written as JSON. `left_out` are the rows that were too many."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    left_out: int = 0


def run_script(cursor: Cursor, script: str) -> None:
    """Execute every statement of a rendered template, in order."""
    for statement in statements(script):
        started = time.monotonic()
        cursor.execute(statement)
        logger.debug("%.2f s: %s", time.monotonic() - started, statement.splitlines()[0])


def fetch_rows(cursor: Cursor, script: str) -> list[tuple[Any, ...]]:
    """The rows of a template of one SELECT, as the warehouse returns them.

    Raises WarehouseError where a value is none that Python has.
    """
    (statement,) = statements(script)
    cursor.execute(statement)
    try:
        return cursor.fetchall()
    except (ValueError, OverflowError) as error:
        # psycopg2's types: a year before 1 or after 9999, an interval of more than 999,999,999 days, broken UTF-8
        raise WarehouseError(
            f"A row cannot be read: {error}. Let the query return that column as text: CAST(… AS VARCHAR)."
        ) from error


def fetch_count(cursor: Cursor, script: str) -> int:
    """The one number of a template of one SELECT COUNT."""
    ((count,),) = fetch_rows(cursor, script)
    return int(count)


def fetch_result(cursor: Cursor, script: str) -> Result:
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
