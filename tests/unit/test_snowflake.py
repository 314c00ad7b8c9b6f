"""A chain of dimensions, pruned by real SQL: none outlives the last row that references it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.pipeline import Dimension, Fact, Pipeline, SparkJob, Staging, Window
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
        Dimension("states", key="state"),
        Dimension("boroughs", key="borough"),
        Dimension("zones", key="zone"),
        Fact("trips", key="trip", window_column="day"),
    ),
)
DAY = Window(date(2024, 1, 1), date(2024, 1, 2))
SCHEMA = "staging_0123456789ab"
TABLES = {
    "mayfly_load_lock": "unused INT",
    "mayfly_loads": (
        "pipeline TEXT, run_id TEXT, window_start TEXT, window_end TEXT, manifests TEXT, pinned_at TEXT, "
        "table_rows TEXT, verdicts TEXT, loaded_at TEXT"
    ),
    "states": "state TEXT",
    "boroughs": "borough TEXT, state TEXT",
    "zones": "zone TEXT, borough TEXT",
    "trips": "trip INT, day DATE, zone TEXT",
}
ADD = "INSERT INTO {table} SELECT DISTINCT {columns} FROM {{{{ schema | ident }}}}.staging_trips;\n"
PRUNE = "DELETE FROM {table}\nWHERE NOT EXISTS (SELECT 1 FROM {child} WHERE {child}.{key} = {table}.{key});\n"
TEMPLATES = {
    "load/states": ADD.format(table="states", columns="state"),
    "load/boroughs": ADD.format(table="boroughs", columns="borough, state"),
    "load/zones": ADD.format(table="zones", columns="zone, borough"),
    "load/trips": ADD.format(table="trips", columns="trip, day, zone"),
    "prune/states": PRUNE.format(table="states", child="boroughs", key="state"),
    "prune/boroughs": PRUNE.format(table="boroughs", child="zones", key="borough"),
    "prune/zones": PRUNE.format(table="zones", child="trips", key="zone"),
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
    this = WindowLoad(TAXI, "run", DAY, SCHEMA, {}, {}, {})
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
