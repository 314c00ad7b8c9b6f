"""A chain of tables, pruned by real SQL: none outlives the last row that references it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.pipeline import Newest, Pipeline, References, ReplaceWindow, SparkJob, Staging, Table, Window
from airflow_lib.warehouse.publish import WindowLoad, load_window
from airflow_lib.warehouse.sql import ROOT
from tests.world import World
from tests.world.sql_warehouse import Connection

TAXI = Pipeline(
    name="taxi",
    start=datetime(2024, 1, 1, tzinfo=UTC),
    jobs=(SparkJob("trips", sources=("trips.csv",), windowed=True),),
    tables=(
        Staging("staging_trips", output="trips"),
        Table("zones", Newest(), key=("zone",), prune=True),
        Table("states", Newest(), key=("state",), prune=True),
        Table("trips", ReplaceWindow("day"), key=("trip",)),
        Table("boroughs", Newest(), key=("borough",), prune=True),
    ),
    checks=(
        References("boroughs", "state", "states", "state"),
        References("zones", "borough", "boroughs", "borough"),
        References("trips", "zone", "zones", "zone"),
    ),
)
DAY = Window(date(2024, 1, 1), date(2024, 1, 2))
SCHEMA = "staging_0123456789ab"
TABLES = {
    "mayfly_load_lock": "unused INT",
    "mayfly_loads": (
        "pipeline TEXT, run_id TEXT, window_start TEXT, window_end TEXT, manifests TEXT, pinned_at TEXT, "
        "table_rows TEXT, verdicts TEXT, loaded_at TEXT, batch TEXT, code TEXT"
    ),
    "states": "state TEXT NOT NULL",
    "boroughs": "borough TEXT NOT NULL, state TEXT",
    "zones": "zone TEXT NOT NULL, borough TEXT",
    "trips": "trip INT NOT NULL, day DATE, zone TEXT",
}
SELECT = "SELECT DISTINCT {columns} FROM {{{{ schema | ident }}}}.staging_trips;\n"
TEMPLATES = {
    "load/states": SELECT.format(columns="state"),
    "load/boroughs": SELECT.format(columns="borough, state"),
    "load/zones": SELECT.format(columns="zone, borough"),
    "load/trips": SELECT.format(columns="trip, day, zone"),
    "create/staging_trips": "CREATE TABLE {{ schema | ident }}.staging_trips (trip INT);\n",
    **{
        f"create/{table}": f"CREATE TABLE {table} ({TABLES[table]});\n"
        for table in ("states", "boroughs", "zones", "trips")
    },
}
UPTOWN = (1, "2024-01-01", "Harlem", "Manhattan", "NY")
ACROSS = (2, "2024-01-01", "Newark", "Essex", "NJ")


@pytest.fixture
def connection() -> Iterator[Any]:
    """A connection to an empty warehouse's tables."""
    with World() as world:
        world.others.redshift.create_cluster(
            ClusterIdentifier="first",
            NodeType="ra3.large",
            ClusterType="single-node",
            MasterUsername="a",
            MasterUserPassword="Aa123456",
        )
        world.advance(600)
        with closing(world.sql.connect(host="first.world.test")) as opened:
            execute(opened, *(f"CREATE TABLE {name} ({columns})" for name, columns in TABLES.items()))
            yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shared").symlink_to(ROOT / "shared")
    for name, sql in TEMPLATES.items():
        file = tmp_path / "taxi" / f"{name}.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(sql)
    return tmp_path


def execute(connection: Connection, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.commit()


def stage(connection: Connection, *trips: Sequence[object]) -> None:
    """The run's staging, with these trips: id, day, zone, borough, state."""
    table = f'"{SCHEMA}".staging_trips'
    columns = "trip INT, day DATE, zone TEXT, borough TEXT, state TEXT"
    execute(
        connection,
        f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE',
        f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"',
        f"CREATE TABLE {table} ({columns})",
        *(f"INSERT INTO {table} VALUES {tuple(trip)}" for trip in trips),
    )


def load(connection: Connection, root: Path) -> None:
    this = WindowLoad(TAXI, "run", DAY, SCHEMA, {}, {}, {}, "batch")
    assert load_window(connection, this, root=root).refused == ""  # type: ignore[arg-type]


def keys(connection: Connection, table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        rows = cursor.fetchall()
    connection.rollback()
    return sorted({row[0] for row in rows})


def test_a_dimension_goes_with_the_last_row_of_the_dimension_that_references_it(
    connection: Connection, root: Path
) -> None:
    stage(connection, UPTOWN, ACROSS)
    load(connection, root)
    assert keys(connection, "states") == ["NJ", "NY"]

    stage(connection, UPTOWN)
    load(connection, root)

    assert keys(connection, "zones") == ["Harlem"]
    assert keys(connection, "boroughs") == ["Manhattan"]
    assert keys(connection, "states") == ["NY"]
