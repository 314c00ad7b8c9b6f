"""What a task sent to the warehouse is kept as SQL that a person can read."""

from __future__ import annotations

import threading

import psycopg2
import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse import statement_log
from airflow_lib.warehouse.connection import transact
from airflow_lib.warehouse.cursor import fetch_count, run_script
from airflow_lib.warehouse.sql import Script, statements
from airflow_lib.warehouse.statement_log import StatementLog, record, recording
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection

SCRIPT = Script("DELETE FROM a;\n\nINSERT INTO a\nSELECT 1;\n", "sql_templates/shop/a.sql")


def test_the_statements_of_a_transaction_are_kept_in_order_with_the_files_they_are_from() -> None:
    count = Script("SELECT COUNT(*) FROM a;\n", "sql_templates/shared/count.sql")

    def work(cursor: RecordingConnection) -> int:
        run_script(cursor, SCRIPT)  # type: ignore[arg-type]
        return fetch_count(cursor, count)  # type: ignore[arg-type]

    with recording() as log:
        transact(RecordingConnection(), work, what="The work")  # type: ignore[arg-type]

    assert log.text().splitlines() == [
        "BEGIN;",
        "",
        "-- sql_templates/shop/a.sql",
        "DELETE FROM a;",
        "INSERT INTO a",
        "SELECT 1;",
        "",
        "-- sql_templates/shared/count.sql",
        "SELECT COUNT(*) FROM a;",
        "COMMIT;",
    ]


def test_the_text_can_be_read_as_statements_again() -> None:
    log = StatementLog()
    log.add("SELECT 1", "a.sql")
    log.add("SELECT 2", "b.sql")
    assert statements(log.text()) == ["SELECT 1", "SELECT 2"]


def test_a_statement_that_failed_is_the_last_before_the_rollback() -> None:
    def refuse(sql: str) -> None:
        if sql.startswith("INSERT"):
            raise psycopg2.ProgrammingError("no such column")

    with recording() as log, pytest.raises(WarehouseError):
        transact(
            RecordingConnection(refuse),  # type: ignore[arg-type]
            lambda cursor: run_script(cursor, SCRIPT),
            what="The work",
        )

    assert statements(log.text())[-2:] == ["INSERT INTO a\nSELECT 1", "ROLLBACK"]


def test_a_text_that_is_too_long_says_how_many_statements_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement_log, "MAX_TEXT", 30)
    log = StatementLog()
    for statement in ("SELECT 1", "SELECT " + "2" * 100, "SELECT 3", "SELECT " + "4" * 100):
        log.add(statement)
    assert log.text() == "SELECT 1;\nSELECT 3;\n\n-- and 2 statements more, too long to be shown"


def test_nothing_is_kept_where_nobody_records_or_for_another_thread() -> None:
    record("SELECT 1")
    with recording() as log:
        other = threading.Thread(target=record, args=("SELECT 2",))
        other.start()
        other.join()
    record("SELECT 3")
    assert log.text() == ""
