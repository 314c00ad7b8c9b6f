"""What an edited create template asks of a table that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_lib.errors import StatementRefused
from airflow_lib.warehouse.create_template import columns
from airflow_lib.warehouse.schema_changes import Changes, TableColumn, compare, ensure_columns
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection

THERE = (
    TableColumn("sale", "bigint", not_null=True),
    TableColumn("day", "date"),
    TableColumn("city", "character varying(64)"),
    TableColumn("price", "numeric(18,0)"),
)
DECLARED = "sale BIGINT NOT NULL, day DATE, City VARCHAR(64), price DECIMAL"


def template(root: Path, definitions: str, table: str = "Sales") -> Path:
    folder = root / "market/create"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table}.sql").write_text(
        f"CREATE TABLE IF NOT EXISTS {table} ({definitions}) DISTSTYLE EVEN;\n"
    )
    if not (root / "shared").exists():
        (root / "shared").symlink_to(Path(__file__).resolve().parents[4] / "sql_templates/shared")
    return root


def changes(root: Path, definitions: str, there: tuple[TableColumn, ...] = THERE) -> Changes:
    return compare("Sales", columns("market", "Sales", root=template(root, definitions)), there)


def test_a_table_that_is_as_its_template_says_needs_no_change(tmp_path: Path) -> None:
    assert changes(tmp_path, DECLARED) == Changes((), ())


@pytest.mark.parametrize(
    ("declared", "catalogue"),
    [
        ("VARCHAR", "character varying(256)"),
        ("TEXT", "character varying(256)"),
        ("VARCHAR(MAX)", "character varying(65535)"),
        ("CHAR", "character(1)"),
        ("CHAR(2)", "character(2)"),
        ("INT", "integer"),
        ("INT8", "bigint"),
        ("FLOAT8", "double precision"),
        ("REAL", "real"),
        ("DECIMAL(9)", "numeric(9,0)"),
        ("NUMERIC(9, 6)", "numeric(9,6)"),
        ("TIMESTAMP", "timestamp without time zone"),
        ("TIMESTAMPTZ", "timestamp with time zone"),
        ("BOOL", "boolean"),
        ("SUPER", "super"),
        ("VARBYTE(64)", "binary varying(64)"),
    ],
)
def test_a_type_is_the_same_in_the_words_of_a_template_and_of_the_catalogue(
    tmp_path: Path, declared: str, catalogue: str
) -> None:
    assert changes(tmp_path, f"x {declared}", (TableColumn("x", catalogue),)) == Changes((), ())


def test_a_new_column_is_added_as_it_is_declared(tmp_path: Path) -> None:
    found = changes(tmp_path, f"{DECLARED}, Note VARCHAR(8) DEFAULT 'none' NOT NULL, more INT")
    assert [one.definition for one in found.additions] == [
        "Note VARCHAR(8) DEFAULT 'none' NOT NULL",
        "more INTEGER",
    ]
    assert found.refused == ()


@pytest.mark.parametrize(
    ("definitions", "told"),
    [
        (
            "sale BIGINT, day DATE, city VARCHAR(128), price DECIMAL",
            "says VARCHAR(128): ALTER TABLE Sales ALTER COLUMN city TYPE VARCHAR(128);",
        ),
        (
            "sale BIGINT, day TIMESTAMP, city VARCHAR(64), price DECIMAL",
            "UPDATE Sales SET day_new = CAST(day AS TIMESTAMP); ALTER TABLE Sales DROP COLUMN day;",
        ),
        (
            "sale BIGINT, day DATE, city VARCHAR(8), price DECIMAL",
            "UPDATE Sales SET city_new = CAST(city AS VARCHAR(8))",
        ),
        (
            "sale BIGINT, day DATE, town VARCHAR(64), price DECIMAL",
            "renamed: ALTER TABLE Sales RENAME COLUMN city TO town; else: ALTER TABLE Sales DROP COLUMN city;",
        ),
        (
            "day DATE, city VARCHAR(64), price DECIMAL",
            "Sales.sale may not be null, and its template has no such",
        ),
        (f"{DECLARED}, note INT NOT NULL", "Sales lacks note, which may not be null and has no default"),
        (f"{DECLARED}, id BIGINT IDENTITY(1, 1)", "Sales lacks id, which is numbered by the warehouse"),
    ],
)
def test_what_could_lose_something_is_refused_with_the_statement_to_run(
    tmp_path: Path, definitions: str, told: str
) -> None:
    found = changes(tmp_path, definitions)
    assert found.additions == ()
    assert told in "\n".join(found.refused)


def test_a_column_that_the_template_no_longer_has_stays_where_it_may_be_null(tmp_path: Path) -> None:
    assert changes(tmp_path, "sale BIGINT, day DATE, price DECIMAL") == Changes((), ())


def test_a_numbered_column_is_not_compared(tmp_path: Path) -> None:
    there = (TableColumn("id", "integer"), *THERE)
    assert changes(tmp_path, f"id BIGINT IDENTITY(1, 1), {DECLARED}", there) == Changes((), ())


def catalogue(rows: dict[str, tuple[TableColumn, ...]]) -> RecordingConnection:
    listed = [(table, one.name, one.type, one.not_null) for table, there in rows.items() for one in there]
    return RecordingConnection(lambda sql: listed if "FROM pg_table_def" in sql else None)


def ensure(conn: Any, root: Path, *tables: str) -> list[str]:
    return ensure_columns(conn, dict.fromkeys(tables, "market"), root=root)


def test_each_missing_column_is_a_statement_of_its_own(tmp_path: Path) -> None:
    root = template(tmp_path, f"{DECLARED}, a INT, b INT")
    conn = catalogue({"sales": THERE})
    assert ensure(conn, root, "Sales") == ["Sales.a", "Sales.b"]
    assert conn.log[1:] == [
        'ALTER TABLE "sales" ADD COLUMN a INTEGER',
        'ALTER TABLE "sales" ADD COLUMN b INTEGER',
    ]


def test_a_table_that_the_catalogue_does_not_show_is_left_alone(tmp_path: Path) -> None:
    conn = catalogue({})
    assert ensure(conn, template(tmp_path, DECLARED), "Sales") == []
    assert len(conn.log) == 1


def test_all_that_is_refused_is_told_at_once(tmp_path: Path) -> None:
    root = template(tmp_path, "sale INT, day DATE, city VARCHAR(64), price DECIMAL")
    template(tmp_path, "sale INT", table="Refunds")
    conn = catalogue({"sales": THERE, "refunds": (TableColumn("sale", "bigint"),)})
    with pytest.raises(StatementRefused) as caught:
        ensure(conn, root, "Sales", "Refunds")
    assert "- Sales.sale is bigint" in caught.value.message
    assert "- Refunds.sale is bigint" in caught.value.message
