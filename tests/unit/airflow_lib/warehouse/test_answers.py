"""What is sent to the warehouse for an answer, and what is made of its refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ConnectionLost, StatementRefused, WarehouseError
from airflow_lib.pipeline import Answer, RowCount, Severity
from airflow_lib.warehouse.answers import Asked, list_answers_read, rebuild, unload
from airflow_lib.warehouse.quality import CheckContext
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection
from tests.unit.airflow_lib.warehouse.shop import APRIL, SCHEMA, SHOP, write_templates

BEST = Answer("best", table=True, checks=(RowCount("best", at_least=1),))
TABLES = replace(SHOP, answers=(BEST,))
LOCATION = S3Location("shop", "published/shop/best")
ROLE = "arn:aws:iam::123456789012:role/copy"
SQL = """-- Which items sell best?
SELECT item AS Item, COUNT(*) AS n
FROM factSale
GROUP BY item
ORDER BY n DESC LIMIT 9;
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_templates(tmp_path)
    (tmp_path / "shop/answers/best.sql").write_text(SQL)
    return tmp_path


def unloaded(conn: Any, root: Path, answer: Answer = SHOP.answers[0], pipeline: Any = SHOP) -> Asked:
    def settle(rows: int) -> dict[str, str]:
        conn.log.append(f"settle {rows}")
        return {"csv": "there"}

    return unload(
        conn,
        pipeline,
        answer,
        location=LOCATION,
        role_arn=ROLE,
        settle=settle,
        root=root,
        sleep=lambda _: None,
    )


def flat(statement: str) -> str:
    return " ".join(statement.split())


def rows_of(sql: str) -> list[tuple[Any, ...]]:
    return [(12,)] if "COUNT(*) FROM" in sql else [("ball", 7)]


def test_a_query_is_asked_once_and_both_files_are_of_what_it_returned(root: Path) -> None:
    conn = RecordingConnection(rows_of, columns=("item", "n"))
    asked = unloaded(conn, root)
    assert (asked.row_count, asked.first.columns, asked.first.rows) == (12, ("item", "n"), (("ball", 7),))
    assert asked.published == {"csv": "there"}
    assert [flat(statement) for statement in conn.log] == [
        "LOCK TABLE mayfly_load_lock",
        'DROP TABLE IF EXISTS "mayfly_answer"',
        (
            'CREATE TEMP TABLE "mayfly_answer" AS SELECT item AS Item, COUNT(*) AS n FROM factSale GROUP BY item '
            "ORDER BY n DESC LIMIT 9"
        ),
        'SELECT COUNT(*) FROM "mayfly_answer"',
        'SELECT * FROM "mayfly_answer" ORDER BY "n" DESC LIMIT 10',
        (
            'UNLOAD (\'SELECT * FROM "mayfly_answer" ORDER BY "n" DESC\') '
            f"TO 's3://shop/published/shop/best/parquet/best_' IAM_ROLE '{ROLE}' "
            "FORMAT AS PARQUET PARALLEL OFF ALLOWOVERWRITE"
        ),
        (
            'UNLOAD (\'SELECT * FROM "mayfly_answer" ORDER BY "n" DESC\') '
            f"TO 's3://shop/published/shop/best/csv/best_' IAM_ROLE '{ROLE}' "
            "FORMAT AS CSV HEADER EXTENSION 'csv' PARALLEL OFF ALLOWOVERWRITE"
        ),
        "settle 12",
        "COMMIT",
    ]


def test_an_answer_that_cannot_be_settled_is_not_committed(root: Path) -> None:
    """The lock is held until the files are settled: else an older run could delete those of a newer one."""
    conn = RecordingConnection(rows_of)

    def fail(_: int) -> dict[str, str]:
        raise WarehouseError("a second file")

    with pytest.raises(WarehouseError, match="a second file"):
        unload(conn, SHOP, SHOP.answers[0], location=LOCATION, role_arn=ROLE, settle=fail, root=root)  # type: ignore[arg-type]
    assert conn.log[-1] == "ROLLBACK"


def test_an_answer_without_rows_is_not_unloaded(root: Path) -> None:
    conn = RecordingConnection(lambda sql: [(0,)] if "COUNT(*) FROM" in sql else [])
    assert unloaded(conn, root).row_count == 0
    assert not [statement for statement in conn.log if statement.startswith("UNLOAD")]


def test_a_table_is_unloaded_as_it_was_committed(root: Path) -> None:
    conn = RecordingConnection(rows_of)
    unloaded(conn, root, BEST, TABLES)
    assert conn.log[1].strip() == 'SELECT COUNT(*) FROM "answers"."best"'
    assert 'FROM "answers"."best" ORDER BY "n" DESC\')' in conn.log[3]


def context() -> CheckContext:
    return CheckContext(TABLES, APRIL, SCHEMA, written={})


def test_a_table_is_built_beside_the_old_one_swapped_and_checked_in_one_transaction(root: Path) -> None:
    conn = RecordingConnection()
    rebuilt = rebuild(conn, TABLES, BEST, context(), root=root)  # type: ignore[arg-type]
    assert [flat(statement) for statement in conn.log] == [
        "LOCK TABLE mayfly_load_lock",
        'CREATE SCHEMA IF NOT EXISTS "answers"',
        (
            'CREATE TABLE "answers"."mayfly_new" AS SELECT item AS Item, COUNT(*) AS n FROM factSale GROUP BY item '
            "ORDER BY n DESC LIMIT 9"
        ),
        'DROP TABLE IF EXISTS "answers"."best"',
        'ALTER TABLE "answers"."mayfly_new" RENAME TO "best"',
        (
            "SELECT COUNT(*) FROM ( SELECT counted.rows_found FROM (SELECT COUNT(*) AS rows_found "
            'FROM "answers"."best") AS counted '
            "WHERE counted.rows_found < 1 OR counted.rows_found > NULL ) AS failing"
        ),
        "COMMIT",
    ]
    assert (rebuilt.refused, [verdict.passed for verdict in rebuilt.verdicts]) == ("", [True])


@pytest.mark.parametrize(("severity", "ends"), [(Severity.ERROR, "ROLLBACK"), (Severity.WARN, "COMMIT")])
def test_a_failing_check_of_severity_error_rolls_the_table_back(
    root: Path, severity: Severity, ends: str
) -> None:
    answer = replace(BEST, checks=(RowCount("best", at_least=1, severity=severity),))
    conn = RecordingConnection(
        lambda sql: [(1,)] if "COUNT(*) FROM (" in flat(sql) else [(0,)], ("rows_found",)
    )
    rebuilt = rebuild(conn, replace(TABLES, answers=(answer,)), answer, context(), root=root)  # type: ignore[arg-type]
    assert conn.log[-1] == ends
    assert ("Check row_count_best found 1 failing rows" in rebuilt.refused) is (ends == "ROLLBACK")
    assert [verdict.samples for verdict in rebuilt.verdicts] == [({"rows_found": 0},)]


def raising(error: psycopg2.Error, at: str) -> RecordingConnection:
    def answer(sql: str) -> list[tuple[Any, ...]]:
        if at in sql:
            raise error
        return rows_of(sql)

    return RecordingConnection(answer)


def test_a_select_that_fails_is_named_by_its_own_file_and_not_blamed_on_parquet(root: Path) -> None:
    conn = raising(errors.UndefinedTable('relation "factsale" does not exist'), "CREATE TEMP")
    with pytest.raises(
        WarehouseError, match=r"Publishing answer best failed.*shop/answers/best\.sql"
    ) as caught:
        unloaded(conn, root)
    assert "Parquet" not in str(caught.value)


def refused(code: str, message: str) -> psycopg2.Error:
    error = errors.lookup(code)(message)
    error.__setstate__({"pgcode": code, "pgerror": message})  # type: ignore[attr-defined]
    return error


def test_a_type_that_parquet_lacks_is_named(root: Path) -> None:
    conn = raising(refused("0A000", "GEOMETRY is not supported"), "PARQUET")
    with pytest.raises(StatementRefused, match=r"unload_parquet.*GEOMETRY, HLLSKETCH or VARBYTE.*CAST"):
        unloaded(conn, root)


def test_a_role_that_may_not_write_has_the_hint_of_its_cause(root: Path) -> None:
    denied = "S3ServiceException:Access Denied,Status 403,Error AccessDenied"
    with pytest.raises(WarehouseError, match="Access Denied") as caught:
        unloaded(raising(refused("XX000", denied), "UNLOAD"), root)
    assert not isinstance(caught.value, StatementRefused)
    assert "Parquet" not in caught.value.message
    assert len(caught.value.message) > len(denied) + 100


def test_a_lost_connection_is_told_as_such(root: Path) -> None:
    conn = raising(psycopg2.OperationalError("server closed the connection"), "UNLOAD")
    original = conn._answer

    def lose(sql: str) -> Any:
        try:
            return original(sql)
        except psycopg2.Error:
            conn.closed = 2
            raise

    conn._answer = lose
    with pytest.raises(ConnectionLost):
        unloaded(conn, root)


def test_what_an_answer_reads_of_others_is_told_by_its_select(root: Path) -> None:
    (root / "shop/answers/best.sql").write_text(
        "SELECT n FROM answers.Most JOIN answers.most AS again ON true;\n"
    )
    assert list_answers_read(TABLES, BEST, root=root) == ("Most", "most")
    assert list_answers_read(replace(TABLES, answers_schema="other"), BEST, root=root) == ()


@pytest.mark.parametrize("sql", [None, "SELECT FROM (", "SELECT 1;\nSELECT 2;", "{{ nothing }}"])
def test_a_template_that_cannot_be_read_reads_nothing(root: Path, sql: str | None) -> None:
    file = root / "shop/answers/best.sql"
    file.unlink() if sql is None else file.write_text(sql)
    assert list_answers_read(TABLES, BEST, root=root) == ()
