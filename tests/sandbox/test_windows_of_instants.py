"""Windows of instants on a running warehouse: each moment belongs to one window."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import Window
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.publish import WindowLoad, load_window
from airflow_lib.warehouse.sql import ROOT
from tests.sandbox.redshift_fakes import Warehouse, running_warehouse
from tests.world.pipeline import TEMPLATES
from tests.world.readings import PIPELINE as READINGS
from tests.world.readings import WINDOWS, readings_of

pytestmark = pytest.mark.sandbox

# Every run here stages more than its window, which Complete would refuse.
PIPELINE = replace(READINGS, checks=())

Row = tuple[Any, ...]
ROWS: list[Row] = [(row["id"], datetime.fromisoformat(row["read_at"])) for row in readings_of(*WINDOWS)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's shared templates beside the small pipeline's own."""
    folder = tmp_path_factory.mktemp("templates")
    shutil.copytree(ROOT / "shared", folder / "shared")
    shutil.copytree(TEMPLATES / PIPELINE.name, folder / PIPELINE.name)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("warehouse") / "data")


class Loads:
    """Loads of the readings, one run a window; every run stages all the rows, whatever its window."""

    def __init__(self, conn: Any, root: Path) -> None:
        self._conn, self._root = conn, root
        self._now = datetime(2016, 5, 1, tzinfo=UTC)

    def load(self, run_id: str, window: Window) -> int:
        """The rows of the window that the table then holds."""
        schema = staging_schema(run_id)
        table = PIPELINE.staging[0].name
        warehouse.copy_staging(
            self._conn, PIPELINE, table, schema=schema, manifest_url=None, role_arn="", root=self._root
        )
        with self._conn, self._conn.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {schema}.{table} VALUES (%s, %s)", ROWS)
        self._now += timedelta(minutes=1)
        loaded = load_window(
            self._conn,
            WindowLoad(
                PIPELINE,
                run_id,
                window,
                schema,
                manifests={"readings": run_id},
                written={"readings": len(ROWS)},
                pinned_at={"readings": self._now},
                batch=run_id,
            ),
            root=self._root,
        )
        assert not loaded.refused
        return loaded.tables["readings"]["rows"]

    def rows(self) -> list[Row]:
        with self._conn, self._conn.cursor() as cursor:
            cursor.execute("SELECT id, read_at FROM readings ORDER BY id")
            found: list[Row] = cursor.fetchall()
            return found


@pytest.fixture
def loads(cluster: Warehouse, root: Path) -> Iterator[Loads]:
    with closing(cluster.connect()) as conn:
        with conn, conn.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS readings, mayfly_loads")
        warehouse.create_tables(conn, PIPELINE, root=root)
        yield Loads(conn, root)


def inside(window: Window) -> list[Row]:
    start, end = (bound.replace(tzinfo=None) for bound in (window.start, window.end))  # type: ignore[call-arg]
    return [row for row in ROWS if start <= row[1] < end]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_window_has_its_first_moment_and_not_that_at_its_end(loads: Loads, window: Window) -> None:
    assert loads.load("run", window) == 3
    assert loads.rows() == inside(window)


@pytest.mark.parametrize("seed", [1, 2])
def test_windows_of_ten_minutes_in_any_order_and_repeated_load_each_row_once(loads: Loads, seed: int) -> None:
    windows = [*WINDOWS, *WINDOWS[:2]]
    random.Random(seed).shuffle(windows)
    for number, window in enumerate(windows):
        loads.load(f"run {number}", window)
    assert loads.rows() == ROWS


def test_windows_of_days_take_the_same_rows_of_a_column_of_instants(loads: Loads) -> None:
    first, second = (Window(day, day + timedelta(days=1)) for day in (date(2016, 4, 1), date(2016, 4, 2)))
    assert loads.load("second", second) == 6
    assert loads.rows() == [row for row in ROWS if row[1].date() == date(2016, 4, 2)]
    assert loads.load("first", first) == 6
    assert loads.rows() == ROWS
