"""Scripts run statement by statement, and rows are read as values that JSON can hold."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal

import pytest

from airflow_lib.warehouse.cursor import fetch_count, fetch_result, fetch_rows, run_script
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
