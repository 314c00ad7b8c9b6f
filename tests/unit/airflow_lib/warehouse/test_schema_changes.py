"""Columns that a template has and its table lacks are added; what is not safe is refused, with what to run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.create_template import Column, tables_created
from airflow_lib.warehouse.schema_changes import Addition, Found, adapt_tables, differences
from airflow_lib.warehouse.sql import Script, render
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection
from tests.world.sqlite_redshift import Database, empty


def columns(definitions: str) -> tuple[Column, ...]:
    (found,) = tables_created(Script(f"CREATE TABLE sale ({definitions});", "sale.sql")).values()
    return found


def compare(template: str, *table: tuple[str, str, bool]) -> list[Addition | str]:
    return list(differences("sale", columns(template), [Found(*one) for one in table]))


ID = ("id", "bigint", True)


@pytest.mark.parametrize(
    ("template", "catalogue"),
    [
        ("INT", "integer"),
        ("BIGINT", "bigint"),
        ("SMALLINT", "smallint"),
        ("VARCHAR(8)", "character varying(8)"),
        ("VARCHAR", "character varying(256)"),
        ("TEXT", "character varying(256)"),
        ("VARCHAR(MAX)", "character varying(65535)"),
        ("NVARCHAR(8)", "character varying(8)"),
        ("CHAR", "character(1)"),
        ("CHAR(3)", "character(3)"),
        ("DECIMAL(9, 6)", "numeric(9,6)"),
        ("NUMERIC", "numeric(18,0)"),
        ("DECIMAL(10)", "numeric(10,0)"),
        ("FLOAT", "double precision"),
        ("DOUBLE PRECISION", "double precision"),
        ("REAL", "real"),
        ("BOOLEAN", "boolean"),
        ("DATE", "date"),
        ("TIMESTAMP", "timestamp without time zone"),
        ("TIMESTAMPTZ", "timestamp with time zone"),
        ("SUPER", "super"),
    ],
)
def test_a_type_is_the_same_in_the_templates_words_and_in_the_catalogues(
    template: str, catalogue: str
) -> None:
    assert compare(f"id BIGINT NOT NULL, Price {template}", ID, ("price", catalogue, False)) == []


@pytest.mark.parametrize(
    ("definition", "added"),
    [
        ("price DECIMAL(9, 2)", "DECIMAL(9, 2)"),
        ("shop VARCHAR(8) DEFAULT 'main' NOT NULL", "VARCHAR(8) DEFAULT 'main' NOT NULL"),
        ("note TEXT ENCODE zstd", "VARCHAR(256) ENCODE zstd"),
        ("item INT REFERENCES items (id)", "INTEGER"),
    ],
)
def test_a_column_that_is_missing_is_added_as_the_template_has_it(definition: str, added: str) -> None:
    (addition,) = compare(f"id BIGINT NOT NULL, {definition}", ID)
    assert isinstance(addition, Addition)
    assert (addition.table, addition.column.definition) == ("sale", added)


@pytest.mark.parametrize(
    ("template", "table", "told"),
    [
        (
            "id INT NOT NULL",
            [ID],
            "run ALTER TABLE sale ADD COLUMN id_new INTEGER; UPDATE sale SET id_new = CAST(id AS INTEGER); ALTER",
        ),
        (
            "id VARCHAR(16) NOT NULL",
            [("id", "character varying(8)", True)],
            "in the template: run ALTER TABLE sale ALTER COLUMN id TYPE VARCHAR(16); outside a transaction",
        ),
        (
            "id BIGINT NOT NULL, price INT NOT NULL",
            [ID],
            "run ALTER TABLE sale ADD COLUMN price INTEGER NOT NULL DEFAULT <value>;",
        ),
        (
            "id BIGINT NOT NULL, nr BIGINT IDENTITY(1, 1)",
            [ID],
            "sale.nr is an identity, which cannot be added to a table: run ALTER TABLE sale RENAME TO sale_old;",
        ),
        ("id BIGINT", [ID], "sale.id is NOT NULL in the table and nullable in the template"),
        (
            "id BIGINT PRIMARY KEY",
            [("id", "bigint", False)],
            "sale.id is nullable in the table and NOT NULL in the template",
        ),
        (
            "id BIGINT NOT NULL",
            [ID, ("price", "integer", True)],
            "give it no value, would fail: run ALTER TABLE sale DROP COLUMN price;",
        ),
        (
            "id BIGINT NOT NULL, cost INT",
            [ID, ("price", "integer", False)],
            "if it has a new name, run ALTER TABLE sale RENAME COLUMN price TO cost; if they are two, run ALTER",
        ),
    ],
    ids=[
        "type",
        "size",
        "not null",
        "identity",
        "may be null",
        "may not be null",
        "gone, and needed",
        "renamed",
    ],
)
def test_what_is_not_safe_is_told_with_the_statement_to_run(
    template: str, table: list[tuple[str, str, bool]], told: str
) -> None:
    (mistake,) = compare(template, *table)
    assert isinstance(mistake, str)
    assert mistake.startswith("sale")
    assert told in mistake


def test_an_identity_is_never_null_and_needs_no_word_for_it() -> None:
    assert compare("id BIGINT IDENTITY(1, 1)", ID) == []
    assert compare("a INT, b INT, PRIMARY KEY (a, b)", ("a", "integer", True), ("b", "integer", True)) == []


def test_a_column_that_the_template_no_longer_has_stays_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert compare("id BIGINT NOT NULL", ID, ("price", "integer", False)) == []
    assert "run ALTER TABLE sale DROP COLUMN price;" in caplog.text


def catalogue(*rows: tuple[Any, ...]) -> Callable[[str], Any]:
    return lambda sql: list(rows) if "pg_table_def" in sql else None


SALE = Script("CREATE TABLE IF NOT EXISTS Sale (id BIGINT NOT NULL, price INT, day DATE);", "sale.sql")


def test_columns_are_added_one_a_statement_under_the_loads_lock() -> None:
    conn = RecordingConnection(catalogue(("sale", "id", "bigint", True)))

    assert adapt_tables(conn, [SALE]) == ["Sale.price", "Sale.day"]  # type: ignore[arg-type]

    asked = 'SELECT tablename, "column", type, "notnull"'
    assert [statement.split("\n")[0] for statement in conn.log] == [
        asked,
        "COMMIT",
        "LOCK TABLE mayfly_load_lock",
        asked,
        'ALTER TABLE "sale" ADD COLUMN "price" INTEGER',
        'ALTER TABLE "sale" ADD COLUMN "day" DATE',
        "COMMIT",
    ]
    assert "WHERE tablename IN ('sale')" in conn.log[0]


def test_a_column_that_another_run_added_meanwhile_is_not_added_again() -> None:
    conn = RecordingConnection()
    whole = [
        ("sale", "id", "bigint", True),
        ("sale", "price", "integer", False),
        ("sale", "day", "date", False),
    ]
    conn._answer = lambda sql: catalogue(*(whole if "COMMIT" in conn.log else whole[:2]))(sql)
    assert adapt_tables(conn, [SALE]) == []  # type: ignore[arg-type]
    assert not any("ALTER" in sql for sql in conn.log)


def test_tables_as_their_templates_say_are_asked_about_once() -> None:
    conn = RecordingConnection(
        catalogue(
            ("sale", "id", "bigint", True),
            ("sale", "price", "integer", False),
            ("sale", "day", "date", False),
        )
    )
    assert adapt_tables(conn, [SALE]) == []  # type: ignore[arg-type]
    assert len(conn.log) == 2


def test_every_difference_is_told_at_once_and_nothing_is_changed() -> None:
    conn = RecordingConnection(catalogue(("sale", "id", "integer", True), ("sale", "price", "date", False)))
    with pytest.raises(WarehouseError) as raised:
        adapt_tables(conn, [SALE])  # type: ignore[arg-type]
    message = str(raised.value)
    assert "- Sale.id is INTEGER in the table" in message
    assert "- Sale.price is DATE in the table" in message
    assert "docs/schema-changes.md" in message
    assert not any("ALTER" in sql for sql in conn.log)


class Real(RecordingConnection):
    """A connection to a database that keeps what it is told."""

    def __init__(self, *statements: str) -> None:
        super().__init__()
        self.database = Database(empty())
        for statement in statements:
            self.database.execute(statement)
        self._answer = lambda sql: self.database.execute(sql)[1]


def test_a_ledger_from_before_batches_gets_the_columns_it_lacks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ledger = render("shared/create_ledger")
    whole, lock = (part.strip() for part in ledger.split(";") if "CREATE" in part)
    old = whole[whole.index("CREATE") :].replace(",\n    batch VARCHAR(64),\n    code VARCHAR(64)", "")
    conn = Real(old, lock[lock.index("CREATE") :])

    assert adapt_tables(conn, [ledger]) == ["mayfly_loads.batch", "mayfly_loads.code"]  # type: ignore[arg-type]
    assert adapt_tables(conn, [ledger]) == []  # type: ignore[arg-type]

    assert "column mayfly_loads.batch was added" in caplog.text
    _, rows = conn.database.execute("SELECT batch, code FROM mayfly_loads")
    assert rows == []
