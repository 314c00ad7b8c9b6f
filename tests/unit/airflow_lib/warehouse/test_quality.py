"""Each check is one SELECT of failing rows, and its verdict says what it found."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import (
    AcceptedValues,
    Answer,
    Between,
    Check,
    Complete,
    Fresh,
    Holds,
    NotNull,
    References,
    RowCount,
    Severity,
    Unique,
)
from airflow_lib.warehouse.connection import transact
from airflow_lib.warehouse.quality import CheckContext, Verdict, describe_failing, judge, render_check
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection
from tests.unit.airflow_lib.warehouse.shop import APRIL, SCHEMA, SHOP

FACTS = CheckContext(SHOP, APRIL, SCHEMA, {"sales": 3})
COMPLETE = Complete("factSale", staging="staging_sales")


def flat(check: Check) -> str:
    """The SELECT of the check's failing rows, on one line."""
    return " ".join(run(RecordingConnection(), check).sql.split())


def run(conn: RecordingConnection, check: Check) -> Verdict:
    """The check's verdict, asked in a transaction of its own."""
    questions = [render_check(check, FACTS)]
    (verdict,) = transact(conn, lambda cursor: judge(cursor, questions), what="Checking")  # type: ignore[arg-type]
    return verdict


@pytest.mark.parametrize(
    ("check", "sql"),
    [
        (
            NotNull("dimItem", ("item", "Price")),
            'SELECT * FROM "dimitem" WHERE "item" IS NULL OR "price" IS NULL',
        ),
        (
            Unique("dimItem", ("item", "day")),
            (
                'SELECT "item", "day", COUNT(*) AS rows_found FROM "dimitem" GROUP BY "item", "day" '
                "HAVING COUNT(*) > 1"
            ),
        ),
        (
            References("factSale", "item", "dimItem", "item"),
            (
                'SELECT referring.* FROM "factsale" AS referring LEFT JOIN "dimitem" AS referred '
                'ON referring."item" = referred."item" '
                'WHERE referring."item" IS NOT NULL AND referred."item" IS NULL'
            ),
        ),
        (
            Holds("cheap", "dimItem", "price < 5 OR sale = 'y'"),
            "SELECT * FROM \"dimitem\" WHERE NOT (price < 5 OR sale = 'y')",
        ),
        (
            AcceptedValues("dimItem", "size", ("S", "it's")),
            "SELECT * FROM \"dimitem\" WHERE \"size\" NOT IN ('S', 'it''s')",
        ),
        (
            Between("factSale", "price", 0.5, None),
            'SELECT * FROM "factsale" WHERE "price" < 0.5 OR "price" > NULL',
        ),
        (
            Between("factSale", "day", date(2016, 4, 1), date(2016, 4, 30)),
            'SELECT * FROM "factsale" WHERE "day" < \'2016-04-01\' OR "day" > \'2016-04-30\'',
        ),
        (
            Fresh("factSale", "day", 1.5),
            (
                'SELECT found.newest, found.asked_at FROM (SELECT MAX("day") AS newest, GETDATE() AS asked_at '
                'FROM "factsale") AS found '
                "WHERE found.newest IS NULL OR found.newest < DATEADD(second, -5400, found.asked_at)"
            ),
        ),
        (
            RowCount("staging_sales", at_least=1),
            (
                "SELECT counted.rows_found FROM (SELECT COUNT(*) AS rows_found "
                'FROM "staging_0123456789ab"."staging_sales") AS counted '
                "WHERE counted.rows_found < 1 OR counted.rows_found > NULL"
            ),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_check_is_a_select_of_failing_rows(check: Check, sql: str) -> None:
    assert flat(check) == sql


def test_a_staging_table_is_asked_for_in_the_runs_schema() -> None:
    assert 'FROM "staging_0123456789ab"."staging_sales" WHERE' in flat(NotNull("staging_sales", ("item",)))
    both = flat(References("factSale", "item", "staging_sales", "item"))
    assert 'FROM "factsale" AS referring LEFT JOIN "staging_0123456789ab"."staging_sales" AS referred' in both


def test_the_table_of_an_answer_is_asked_for_in_the_answers_schema() -> None:
    shop = replace(SHOP, answers=(Answer("best", table=True), Answer("worst")), answers_schema="told")
    context = replace(FACTS, pipeline=shop)
    assert (context.locate("best"), context.locate("worst")) == (("told", "best"), "worst")


def test_completeness_compares_what_was_written_with_staging_and_the_facts_window() -> None:
    sql = flat(COMPLETE)

    assert 'FROM "staging_0123456789ab"."staging_sales"' in sql
    assert "\"day\" >= '2016-04-01' AND \"day\" < '2016-05-01'" in sql
    assert "staged.staged <> 3 OR loaded.loaded <> 3" in sql


def test_a_check_is_one_statement() -> None:
    check = Holds("cheap", "dimItem", "price < 5);\nDELETE FROM dimItem WHERE (1 = 1")
    with pytest.raises(WarehouseError, match="Check cheap holds more than one statement"):
        render_check(check, FACTS)


def test_completeness_needs_to_know_what_was_written() -> None:
    with pytest.raises(WarehouseError, match="how many rows were written for staging_sales"):
        render_check(COMPLETE, replace(FACTS, written={}))


def test_completeness_expects_of_a_fact_that_was_kept_what_it_held() -> None:
    sql = render_check(COMPLETE, replace(FACTS, kept={"factSale": 9})).failing

    assert "staged.staged <> 3 OR loaded.loaded <> 9" in sql


def test_completeness_of_a_table_without_windows_compares_what_was_written_with_what_was_staged() -> None:
    asked = flat(Complete("dimItem", staging="staging_sales"))
    assert asked.endswith("AS staged WHERE staged.staged <> 3")
    assert "dimitem" not in asked


def test_a_check_without_failing_rows_passes_and_fetches_no_samples() -> None:
    conn = RecordingConnection()

    verdict = run(conn, NotNull("dimItem", ("item",)))

    assert (verdict.name, verdict.passed, verdict.failing_rows) == ("not_null_dimItem", True, 0)
    assert verdict.samples == ()
    assert len(conn.log) == 2
    assert conn.log[-1] == "COMMIT"


def test_failing_rows_are_counted_and_at_most_five_are_kept() -> None:
    rows = [(1, date(2016, 4, 1), Decimal("2.5")), (2, None, None)]
    conn = RecordingConnection(
        lambda sql: [(70,)] if "COUNT(*)" in sql else rows, columns=("item", "day", "price")
    )

    verdict = run(conn, Holds("cheap", "dimItem", "price < 5", severity=Severity.WARN))

    assert (verdict.passed, verdict.failing_rows, verdict.severity) == (False, 70, Severity.WARN)
    assert verdict.samples == (
        {"item": 1, "day": "2016-04-01", "price": 2.5},
        {"item": 2, "day": None, "price": None},
    )
    assert conn.log[1].endswith("LIMIT 5")
    json.dumps(verdict.samples)


def test_a_verdict_carries_the_select_of_its_failing_rows() -> None:
    verdict = run(RecordingConnection(), Holds("cheap", "dimItem", "price < 5"))

    assert verdict.sql == 'SELECT *\nFROM "dimitem"\nWHERE NOT (price < 5)'


def test_a_check_that_cannot_be_run_is_an_error_not_a_verdict() -> None:
    def refuse(_: str) -> None:
        raise psycopg2.ProgrammingError('column "prize" does not exist')

    with pytest.raises(
        WarehouseError, match='"prize" does not exist In .*shared/checks/holds.sql: .*That is check cheap'
    ):
        run(RecordingConnection(refuse), Holds("cheap", "dimItem", "prize < 5"))


def test_a_failing_check_is_logged_with_a_sample(caplog: pytest.LogCaptureFixture) -> None:
    conn = RecordingConnection(lambda sql: [(2,)] if "COUNT(*)" in sql else [(7,)], columns=("item",))

    run(conn, NotNull("dimItem", ("item",), severity=Severity.WARN))

    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage() == "Check not_null_dimItem (warn): 2 failing rows, such as ({'item': 7},)"


def test_a_verdict_is_not_lost_with_samples_of_any_kind() -> None:
    odd = [(float("nan"), Decimal("NaN"), timedelta(1), "\x00\ud800", b"\xff")]
    conn = RecordingConnection(lambda sql: [(1,)] if "COUNT(*)" in sql else odd, columns=tuple("abcde"))
    verdict = run(conn, NotNull("dimItem", ("item",)))
    assert verdict.samples == (
        {"a": "NaN", "b": "NaN", "c": "1 day, 0:00:00", "d": "\ufffd\ufffd", "e": "\\xff"},
    )
    json.dumps(verdict.samples, allow_nan=False)


def test_a_verdict_is_not_lost_with_samples_that_cannot_be_read() -> None:
    class Unreadable(RecordingConnection):
        def fetchall(self) -> Any:
            if "COUNT(*)" in self.log[-1]:
                return super().fetchall()
            raise OverflowError("days=1000000000000; must have magnitude <= 999999999")

    conn = Unreadable(lambda _: [(7,)])
    verdict = run(conn, NotNull("dimItem", ("item",)))
    assert (verdict.passed, verdict.failing_rows) == (False, 7)
    assert "must have magnitude" in verdict.samples[0]["unreadable"]
    assert conn.log[-1] == "COMMIT"


def test_every_check_is_counted_before_any_sample_is_read() -> None:
    conn = RecordingConnection(lambda sql: [(2,)] if "COUNT(*)" in sql else [(7,)], columns=("item",))
    checks = [NotNull("dimItem", ("item",)), Holds("cheap", "dimItem", "price < 5")]

    verdicts = judge(conn, [render_check(check, FACTS) for check in checks])  # type: ignore[arg-type]

    assert ["LIMIT" in sql for sql in conn.log] == [False, False, True, True]
    assert [one.name for one in verdicts] == ["not_null_dimItem", "cheap"]


def test_of_failing_checks_all_counts_come_first_then_all_queries_then_samples() -> None:
    """The cause that a notification bears is cut after 2,000 characters."""
    wide = [{"item": 1, "text": "x" * 900}] * 5
    failing = [Verdict(f"cheap{n}", Severity.ERROR, 70 + n, tuple(wide), f"SELECT {n}") for n in range(5)]

    told = describe_failing(failing)

    for n in range(5):
        assert f"Check cheap{n} found {70 + n} failing rows, none was expected." in told[:2000]
        assert f"cheap{n}:\nSELECT {n}\n" in told[:2000]
    assert told.index("SELECT 4") < told.index("{'item': 1")
    assert told.count("{'item': 1") == 15


def test_a_verdict_without_query_and_samples_is_described_by_its_count() -> None:
    assert describe_failing([Verdict("cheap", Severity.ERROR, 7)]).endswith(
        "Check cheap found 7 failing rows, none was expected."
    )


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (0, "found 7 failing rows, none was expected."),
        (3, "none was expected; 3 of them were there before this load."),
        (7, "none was expected; they were there before this load."),
        (9, "none was expected; they were there before this load."),
    ],
)
def test_failing_rows_that_were_there_before_the_load_are_told_as_that(before: int, told: str) -> None:
    verdict = Verdict("cheap", Severity.ERROR, 7, before=before)
    assert told in describe_failing([verdict])
    assert verdict.was_there == (before >= 7)
    assert verdict.as_json().get("failing_rows_before", 0) == before
