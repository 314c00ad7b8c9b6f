"""Which statements reach the warehouse, in which order, and in how many transactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest

from airflow_lib.errors import ConnectionLost, WarehouseError
from airflow_lib.warehouse import load as warehouse
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection
from tests.unit.airflow_lib.warehouse.shop import SCHEMA, SHOP, first_lines, write_templates


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_templates(tmp_path)


def copy(conn: RecordingConnection, root: Path, manifest_url: str | None = "s3://bucket/m.json") -> int:
    return warehouse.copy_staging(
        conn,  # type: ignore[arg-type]
        SHOP,
        "staging_sales",
        schema=SCHEMA,
        manifest_url=manifest_url,
        role_arn="arn:aws:iam::123456789012:role/copy",
        manifest="0123abcd",
        root=root,
    )


def test_creating_makes_the_ledger_and_what_outlives_a_run_in_one_transaction(root: Path) -> None:
    conn = RecordingConnection(lambda sql: [] if "pg_table_def" in sql else None)
    warehouse.create_tables(conn, SHOP, root=root)  # type: ignore[arg-type]

    assert first_lines(conn.log) == [
        "CREATE TABLE IF NOT EXISTS mayfly_loads (",
        "CREATE TABLE IF NOT EXISTS mayfly_load_lock (",
        "CREATE TABLE IF NOT EXISTS dimItem (item INT NOT NULL, price INT)",
        "CREATE TABLE IF NOT EXISTS dimDay (number BIGINT IDENTITY(1, 1), day DATE NOT NULL)",
        "CREATE TABLE IF NOT EXISTS factSale (sale INT, day DATE NOT NULL, item INT)",
        'SELECT tablename, "column", type, "notnull"',
        "COMMIT",
    ]


def test_a_copy_replaces_the_table_in_the_transaction_that_fills_it(root: Path) -> None:
    conn = RecordingConnection(lambda sql: [(42,)] if "COUNT(*)" in sql else None)

    assert copy(conn, root) == 42
    assert first_lines(conn.log) == [
        f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"',
        "COMMIT",
        f'DROP TABLE IF EXISTS "{SCHEMA}"."staging_sales"',
        f'CREATE TABLE "{SCHEMA}".staging_sales (sale INT, day DATE, item INT, price INT)',
        f'COPY "{SCHEMA}"."staging_sales"',
        f'COMMENT ON TABLE "{SCHEMA}"."staging_sales" IS \'0123abcd\'',
        f'SELECT COUNT(*) FROM "{SCHEMA}"."staging_sales"',
        "COMMIT",
    ]


def test_a_manifest_without_entries_is_an_empty_table(root: Path) -> None:
    conn = RecordingConnection()

    assert copy(conn, root, manifest_url=None) == 0
    assert not any(statement.startswith("COPY") for statement in conn.log)


def refuse_copy(sql: str) -> Any:
    if sql.startswith("COPY"):
        raise psycopg2.DatabaseError("Load into table 'staging_sales' failed.")
    if "stl_load_errors" in sql:
        return [("s3://bucket/a.parquet  ", 3, "price", "int4 ", 1207, "Invalid digit  ")]
    return None


def test_a_failed_copy_carries_the_warehouses_own_detail(root: Path) -> None:
    with pytest.raises(WarehouseError) as raised:
        copy(RecordingConnection(refuse_copy), root)

    message = str(raised.value)
    assert "COPY of s3://bucket/m.json into staging_0123456789ab.staging_sales failed" in message
    assert "Load into table 'staging_sales' failed." in message
    assert "[s3://bucket/a.parquet line 3, column price (int4): 1207 Invalid digit]" in message
    assert "COPY matches them by position" in message


def test_a_failed_copy_is_reported_even_where_its_detail_cannot_be_read(root: Path) -> None:
    def refuse(sql: str) -> None:
        if sql.startswith("COPY") or "stl_load_errors" in sql:
            raise psycopg2.DatabaseError("refused" if sql.startswith("COPY") else "no such view")

    with pytest.raises(WarehouseError, match="refused"):
        copy(RecordingConnection(refuse), root)


def test_a_connection_lost_during_a_copy_is_reported_as_that_without_its_detail(root: Path) -> None:
    conn = RecordingConnection()

    def lose(sql: str) -> None:
        if sql.startswith("COPY"):
            conn.closed = 2
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    conn._answer = lose

    with pytest.raises(ConnectionLost, match="server closed the connection"):
        copy(conn, root)


@pytest.mark.parametrize(
    "schema", ["public", "staging_", "staging_0123456789ab2", "Staging_0123456789ab", "x"]
)
def test_only_a_runs_staging_schema_is_ever_dropped(schema: str) -> None:
    conn = RecordingConnection()

    with pytest.raises(WarehouseError, match="a run's staging schema, .* was expected"):
        warehouse.drop_staging(conn, schema)  # type: ignore[arg-type]
    assert conn.log == []


def test_orphan_staging_is_dropped_and_what_is_kept_or_foreign_is_not() -> None:
    orphan, kept = "staging_aaaaaaaaaaaa", "staging_bbbbbbbbbbbb"
    names = [("public",), ("staging",), ("staging_of_someone",), (orphan,), (kept,)]
    conn = RecordingConnection(lambda sql: names if "pg_namespace" in sql else None)

    assert warehouse.drop_orphan_staging(conn, {kept}) == [orphan]  # type: ignore[arg-type]
    assert [statement for statement in conn.log if "DROP" in statement] == [
        f'DROP SCHEMA IF EXISTS "{orphan}" CASCADE'
    ]


def test_staging_is_listed_by_table_with_what_it_holds() -> None:
    conn = RecordingConnection(lambda _: [("staging_sales", "0123abcd"), ("staging_items", None)])

    listed = warehouse.list_staging(conn, SCHEMA)  # type: ignore[arg-type]

    assert listed == {"staging_sales": "0123abcd", "staging_items": ""}
    assert f"nspname = '{SCHEMA}'" in conn.log[0]


def test_a_runs_staging_schema_is_dropped_with_its_tables() -> None:
    conn = RecordingConnection()

    warehouse.drop_staging(conn, SCHEMA)  # type: ignore[arg-type]
    assert conn.log == [f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE', "COMMIT"]
