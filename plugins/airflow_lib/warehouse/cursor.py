"""Running rendered SQL on a cursor, and reading rows as values that JSON can hold."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from airflow_lib.warehouse.connection import Cursor
from airflow_lib.warehouse.sql import statements

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """Rows and their column names; every value can be written as JSON."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def run_script(cursor: Cursor, script: str) -> None:
    """Execute every statement of a rendered template, in order."""
    for statement in statements(script):
        started = time.monotonic()
        cursor.execute(statement)
        logger.debug("%.2f s: %s", time.monotonic() - started, statement.splitlines()[0])


def fetch_rows(cursor: Cursor, script: str) -> list[tuple[Any, ...]]:
    """The rows of a template of one SELECT, as the warehouse returns them."""
    (statement,) = statements(script)
    cursor.execute(statement)
    return cursor.fetchall()


def fetch_count(cursor: Cursor, script: str) -> int:
    """The one number of a template of one SELECT COUNT."""
    ((count,),) = fetch_rows(cursor, script)
    return int(count)


def fetch_result(cursor: Cursor, script: str) -> Result:
    """The rows of a template of one SELECT: dates become ISO text, decimals floats."""
    rows = fetch_rows(cursor, script)
    columns = tuple(column.name for column in cursor.description or ())
    return Result(columns, tuple(tuple(_as_json_value(value) for value in row) for row in rows))


def _as_json_value(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value
