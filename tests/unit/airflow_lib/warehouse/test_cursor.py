"""Scripts run statement by statement, and rows are read as values that JSON can hold."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import PYDATE, PYDATETIME, PYINTERVAL

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.cursor import fetch_count, fetch_result, fetch_rows, run_script
from airflow_lib.warehouse.sql import Script
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection


def test_a_script_runs_statement_by_statement_without_its_comments() -> None:
    cursor = RecordingConnection()

    run_script(cursor, "-- First\nSELECT 1;\n\nSELECT\n2;\n")  # type: ignore[arg-type]

    assert cursor.log == ["SELECT 1", "SELECT\n2"]


def test_how_long_a_statement_took_is_logged_with_its_first_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    run_script(RecordingConnection(), "SELECT\n2;\n")  # type: ignore[arg-type]

    assert caplog.messages[0].endswith(" s: SELECT")


def test_a_count_is_the_one_number_of_its_select() -> None:
    assert fetch_count(RecordingConnection(lambda _: [(Decimal(7),)]), "SELECT COUNT(*) FROM x;\n") == 7  # type: ignore[arg-type]


def test_the_error_of_a_statement_bears_its_file_and_how_it_begins() -> None:
    def refuse(sql: str) -> None:
        if "prize" in sql:
            raise psycopg2.ProgrammingError("no such column")

    script = Script(
        "SELECT 1;\n\nSELECT\n    prize,\n" + "    price,\n" * 50 + "    day;\n", "sql_templates/a.sql"
    )
    with pytest.raises(psycopg2.ProgrammingError) as raised:
        run_script(RecordingConnection(refuse), script)  # type: ignore[arg-type]
    (note,) = raised.value.__notes__
    assert note.startswith("In sql_templates/a.sql: SELECT prize, price, price,")
    assert len(note) < 260


@pytest.mark.parametrize("script", ["", "-- Nothing\n", "SELECT 1;\nSELECT 2;\n"])
def test_rows_are_those_of_one_statement(script: str) -> None:
    cursor = RecordingConnection()

    with pytest.raises(ValueError, match="to unpack"):
        fetch_rows(cursor, script)  # type: ignore[arg-type]
    assert cursor.log == []


def test_a_result_can_be_written_as_json() -> None:
    row = (1, "a", None, date(2016, 4, 1), datetime(2016, 4, 1, 12, 30), Decimal("2.5"), True)
    columns = ("n", "text", "none", "day", "at", "mean", "yes")

    result = fetch_result(RecordingConnection(lambda _: [row], columns), "SELECT 1;\n")  # type: ignore[arg-type]

    assert result.columns == columns
    assert result.rows == ((1, "a", None, "2016-04-01", "2016-04-01T12:30:00", 2.5, True),)
    json.dumps(result.rows)


def test_values_that_json_has_not_are_text() -> None:
    """psycopg2's types for Redshift's FLOAT8, NUMERIC, TIME, INTERVAL and VARBYTE; what XComs take is `as_json`'s."""
    row = (
        float("nan"),
        Decimal("Infinity"),
        time(23, 59),
        timedelta(days=3),
        memoryview(b"ab"),
        "a\x00b",
        10**40,
    )
    columns = tuple("abcdefg")
    result = fetch_result(RecordingConnection(lambda _: [row], columns), "SELECT 1;\n")  # type: ignore[arg-type]
    assert result.rows == (
        ("NaN", "Infinity", "23:59:00", "3 days, 0:00:00", "\\x6162", "a\ufffdb", "1" + "0" * 40),
    )
    json.dumps(result.rows, allow_nan=False)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([(1,)] * 1500, 1000),
        ([("x" * 5000,)] * 500, 200),
        ([("x" * 900,) * 300] * 3, 1),
        ([(1,)] * 1000, 1000),
    ],
)
def test_rows_that_are_too_many_are_left_out_and_counted(rows: list[tuple[Any, ...]], kept: int) -> None:
    result = fetch_result(RecordingConnection(lambda _: rows), "SELECT 1;\n")  # type: ignore[arg-type]
    assert (len(result.rows), result.left_out) == (kept, len(rows) - kept)


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    result = fetch_result(RecordingConnection(lambda _: [("x" * 5000,)]), "SELECT 1;\n")  # type: ignore[arg-type]
    ((text,),) = result.rows
    assert len(text) == 1000
    assert text.endswith("… (5000 characters)")


@pytest.mark.parametrize(
    ("cast", "value", "told"),
    [
        (PYDATE, "10000-01-01", "year 10000 is out of range"),
        (PYDATETIME, "0044-03-15 00:00:00 BC", "year -44 is out of range"),
        (PYINTERVAL, "1000000000 days", "must have magnitude <= 999999999"),
    ],
)
def test_a_value_that_python_has_not_is_an_error_that_says_what_to_do(
    cast: Any, value: str, told: str
) -> None:
    """Redshift's dates reach from 4713 BC to 294276 AD; psycopg2 makes Python's of them, and raises none of its own."""

    class Cursor(RecordingConnection):
        def fetchall(self) -> Any:
            return [(cast(value, None),)]

    with pytest.raises(WarehouseError, match=rf"{told}.*CAST\(… AS VARCHAR\)"):
        fetch_rows(Cursor(), "SELECT 1;\n")  # type: ignore[arg-type]
