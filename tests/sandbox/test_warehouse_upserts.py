"""Loads without windows on a running warehouse: the newest row of each key, batches appended once, and new columns."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import Window
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.publish import Loaded, WindowLoad, load_window
from airflow_lib.warehouse.sql import ROOT
from tests.sandbox.redshift_fakes import Warehouse, running_warehouse
from tests.world.pipeline import TEMPLATES
from tests.world.upserts import PIPELINE, VERSIONS, rows_of, tables_of

pytestmark = pytest.mark.sandbox

DAY = Window(date(2016, 4, 1), date(2016, 4, 2))
COLUMNS = {
    "popular": "book, reviews, best",
    "reviews": "review, book, stars, changed_on",
    "books": "book, title, author",
    "authors": "author",
    "review_log": "review, stars, changed_on",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The product's shared templates beside the small pipeline's own."""
    shutil.copytree(ROOT / "shared", tmp_path / "shared")
    shutil.copytree(TEMPLATES / PIPELINE.name, tmp_path / PIPELINE.name)
    return tmp_path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("warehouse") / "data")


@pytest.fixture
def conn(cluster: Warehouse, root: Path) -> Iterator[Any]:
    with closing(cluster.connect()) as opened:
        execute(opened, f"DROP TABLE IF EXISTS mayfly_loads, {', '.join(COLUMNS)}")
        warehouse.create_tables(opened, PIPELINE, root=root)
        yield opened


def execute(conn: Any, *statements: str) -> None:
    with conn.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    conn.commit()


def load(conn: Any, root: Path, version: int, run_id: str) -> Loaded:
    schema = staging_schema(run_id)
    warehouse.copy_staging(
        conn, PIPELINE, "staging_reviews", schema=schema, manifest_url=None, role_arn="", root=root
    )
    rows = [tuple(row.values()) for row in rows_of(version)]
    with conn.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {schema}.staging_reviews VALUES (%s, %s, %s, %s, %s, %s)", rows)
    conn.commit()
    this = WindowLoad(
        PIPELINE,
        run_id,
        DAY,
        schema,
        {"reviews": f"{version}"},
        {"reviews": len(rows)},
        {},
        f"batch {version}",
    )
    loaded = load_window(conn, this, root=root)
    assert loaded.refused == ""
    return loaded


def tables(conn: Any) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with conn.cursor() as cursor:
        for table, columns in COLUMNS.items():
            cursor.execute(f"SELECT {columns} FROM {table}")
            rows = [
                tuple(str(one) if isinstance(one, date) else one for one in row) for row in cursor.fetchall()
            ]
            found[table] = sorted(rows, key=repr)
    conn.commit()
    return found


@pytest.mark.parametrize("versions", itertools.permutations(VERSIONS[:3]))
def test_versions_in_any_order_and_repeated_end_in_the_same_tables(
    conn: Any, root: Path, versions: tuple[int, ...]
) -> None:
    for version in (*versions, versions[0]):
        load(conn, root, version, f"run {version}")
    assert tables(conn) == tables_of(*versions)
    assert load(conn, root, versions[1], "another run").held == ("review_log",)
    assert tables(conn) == tables_of(*versions)


def test_a_row_that_is_there_keeps_its_identity(conn: Any, root: Path, cluster: Warehouse) -> None:
    load(conn, root, 1, "run 1")
    before = cluster.ask("SELECT book, book_id FROM books ORDER BY 1")
    load(conn, root, 1, "run 2")
    assert cluster.ask("SELECT book, book_id FROM books ORDER BY 1") == before


def test_a_warehouse_of_an_older_release_gets_the_columns_that_it_lacks(conn: Any, root: Path) -> None:
    load(conn, root, 1, "run 1")
    execute(
        conn,
        "ALTER TABLE mayfly_loads DROP COLUMN batch",
        "ALTER TABLE mayfly_loads DROP COLUMN code",
        "ALTER TABLE books DROP COLUMN title",
    )

    added = warehouse.create_tables(conn, PIPELINE, root=root)

    assert added == ["mayfly_loads.batch", "mayfly_loads.code", "books.title"]
    assert warehouse.create_tables(conn, PIPELINE, root=root) == []
    load(conn, root, 1, "run 1")
    assert tables(conn)["books"] == tables_of(1)["books"]


def test_a_column_of_another_type_is_refused_with_what_to_run(conn: Any, root: Path) -> None:
    load(conn, root, 1, "run 1")
    template = root / "immigration/create/books.sql"
    template.write_text(template.read_text().replace("author VARCHAR(64)", "author VARCHAR(128)"))

    with pytest.raises(
        WarehouseError,
        match=r"books\.author is character varying\(64\), its template says VARCHAR\(128\): "
        r"ALTER TABLE books ALTER COLUMN author TYPE VARCHAR\(128\);",
    ):
        warehouse.create_tables(conn, PIPELINE, root=root)
