"""How rows get in, by real SQL: one row a key, the newest; windows, whole tables, and what nothing references."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from airflow_lib.pipeline import Load, Newest, Rebuild, References, ReplaceWindow, SparkJob, Staging, Table
from airflow_lib.warehouse.sql import ROOT, statements
from airflow_lib.warehouse.table_loads import TableLoads
from tests.unit.airflow_lib.warehouse.shop import SCHEMA, SHOP
from tests.world.sqlite_redshift import Database, empty

Row = tuple[Any, ...]
NEWEST, LAST = Newest(by="changed"), Newest()
DAY = (date(2016, 4, 1), date(2016, 4, 2))
FILES = {
    "create/staging": "CREATE TABLE {{ schema | ident }}.staging (id INT, name VARCHAR(8), changed DATE);\n",
    "create/items": (
        "CREATE TABLE items (nr BIGINT IDENTITY(1, 1), id INT NOT NULL, name VARCHAR(8), changed DATE);\n"
    ),
    "create/more": "CREATE TABLE more (id INT, item INT);\n",
    "load/items": "-- All of it.\nSELECT changed, name, id FROM {{ schema | ident }}.staging;\n",
    "load/more": "SELECT id AS item, id FROM items;\n",
}


class Shop:
    """A database with a table `items`, loaded as a test says."""

    def __init__(
        self, root: Path, load: Load, *, key: tuple[str, ...] = ("id",), prune: bool = False
    ) -> None:
        self.database = Database(empty())
        items = Table("items", load, key=key, prune=prune)
        more = Table("more", Rebuild())
        self.pipeline = replace(
            SHOP, jobs=(SparkJob("a", ("a",)),), tables=(more, Staging("staging", "a"), items)
        )
        self.root = root
        for statement in (
            f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"',
            f'CREATE TABLE "{SCHEMA}".staging (id INT, name VARCHAR(8), changed DATE)',
            *(FILES[f"create/{name}"].rstrip(";\n") for name in ("items", "more")),
        ):
            self.database.execute(statement)

    def load(self, *rows: Row, leave: Sequence[str] = ()) -> list[Row]:
        """Load these rows of id, name and changed; what `items` holds then."""
        self.database.execute(f'DELETE FROM "{SCHEMA}".staging')
        if rows:
            self.database.insert(SCHEMA, "staging", rows)
        values = {"schema": SCHEMA, "window_start": DAY[0], "window_end": DAY[1]}
        for script in TableLoads(self.pipeline, values, self.root).list_changes(leave):
            for statement in statements(script):
                self.database.execute(statement)
        return self.items

    @property
    def items(self) -> list[Row]:
        return self.database.content_of("items")

    @property
    def numbers(self) -> dict[int, int]:
        """The identity of each id's row."""
        return dict(self.database.execute("SELECT id, nr FROM items")[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shared").symlink_to(ROOT / "shared")
    for name, text in FILES.items():
        file = tmp_path / "shop" / f"{name}.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


OLD, NEW = (1, "old", "2016-04-01"), (1, "new", "2016-04-02")
TIE, UNDATED, OTHER = (1, "zero", "2016-04-02"), (1, "zzz", None), (2, "b", "2016-04-01")


@pytest.mark.parametrize("batches", itertools.permutations([(OLD,), (NEW, OTHER), (TIE,), (UNDATED, OLD)]))
def test_the_newest_row_of_a_key_stays_in_whatever_order_batches_are_loaded(
    root: Path, batches: tuple[tuple[Row, ...], ...]
) -> None:
    """Of two that are equally new the one with the greater name; a row without a date is older than any."""
    shop = Shop(root, NEWEST)
    for batch in batches:
        shop.load(*batch)
    assert shop.items == [TIE, OTHER]


@pytest.mark.parametrize("rows", itertools.permutations([OLD, TIE, NEW, UNDATED, TIE]))
def test_one_row_of_a_batch_with_several_of_a_key_gets_in(root: Path, rows: tuple[Row, ...]) -> None:
    assert Shop(root, NEWEST).load(*rows) == [TIE]
    assert Shop(root, LAST).load(*rows) == [max(rows, key=lambda row: row[1])]


def test_an_older_row_never_wins_and_the_row_that_is_there_stays_untouched(root: Path) -> None:
    shop = Shop(root, NEWEST)
    shop.load(NEW, OTHER)
    numbers = shop.numbers
    assert shop.load(OLD, OTHER, NEW) == [NEW, OTHER]
    assert shop.numbers == numbers


def test_what_is_loaded_last_is_newer_where_no_column_says_so(root: Path) -> None:
    shop = Shop(root, LAST)
    shop.load(OLD, OTHER)
    numbers = shop.numbers
    assert shop.load(NEW) == [NEW, OTHER]
    assert shop.load(OLD) == [OLD, OTHER]
    assert (shop.numbers[1] != numbers[1], shop.numbers[2]) == (True, numbers[2])


@pytest.mark.parametrize("load", [NEWEST, LAST])
def test_a_row_that_is_there_as_it_comes_in_is_left_with_its_nulls(root: Path, load: Load) -> None:
    shop = Shop(root, load)
    row = (1, None, None)
    shop.load(row)
    numbers = shop.numbers
    assert shop.load(row, row) == [row]
    assert shop.numbers == numbers


def test_a_row_without_a_key_is_refused_by_the_warehouse_and_never_multiplies(root: Path) -> None:
    """A key is NOT NULL (`declaration.columns`)."""
    with pytest.raises(psycopg2.Error, match="NOT NULL"):
        Shop(root, NEWEST).load((None, "a", "2016-04-01"))


def test_a_key_of_several_columns_is_one_key(root: Path) -> None:
    shop = Shop(root, NEWEST, key=("id", "name"))
    shop.load(OLD, NEW)
    assert shop.load((1, "new", "2016-04-09"), OTHER) == [(1, "new", "2016-04-09"), OLD, OTHER]


def test_a_window_is_replaced_and_what_lies_outside_is_not_loaded(root: Path) -> None:
    shop = Shop(root, ReplaceWindow("changed"), key=())
    shop.database.execute("INSERT INTO items (id, name, changed) VALUES (7, 'stays', '2016-04-02')")
    shop.load(OLD, OTHER)
    assert shop.load((3, "c", "2016-04-01"), NEW, UNDATED) == [
        (3, "c", "2016-04-01"),
        (7, "stays", "2016-04-02"),
    ]


@pytest.mark.parametrize(("key", "left"), [(("id",), [OLD]), ((), [NEW, OLD])])
def test_a_row_of_a_key_that_came_in_goes_from_other_windows(
    root: Path, key: tuple[str, ...], left: list[Row]
) -> None:
    shop = Shop(root, ReplaceWindow("changed"), key=key)
    shop.database.execute("INSERT INTO items (id, name, changed) VALUES (1, 'new', '2016-04-02')")
    assert shop.load(OLD) == left


def test_a_key_that_came_in_for_another_window_deletes_nothing(root: Path) -> None:
    shop = Shop(root, ReplaceWindow("changed"))
    shop.database.execute("INSERT INTO items (id, name, changed) VALUES (1, 'new', '2016-04-02')")
    assert shop.load((1, "no", "2016-04-03")) == [NEW]


def test_a_table_that_is_rebuilt_holds_what_its_select_gives_after_the_tables_that_it_reads(
    root: Path,
) -> None:
    shop = Shop(root, Rebuild())
    shop.load(OLD, OLD, OTHER)
    assert shop.load(OTHER, UNDATED) == [UNDATED, OTHER]
    assert shop.database.content_of("more") == [(1, 1), (2, 2)]


def test_a_table_that_is_left_gets_no_rows_while_the_others_do(root: Path) -> None:
    shop = Shop(root, Rebuild())
    shop.load(OLD)
    assert shop.load(OTHER, leave=["items"]) == [OLD]
    assert shop.database.content_of("more") == [(1, 1)]


def test_rows_that_no_table_references_are_deleted(root: Path) -> None:
    shop = Shop(root, LAST, prune=True)
    shop.pipeline = replace(
        shop.pipeline,
        checks=(References("more", "item", "items", "id"), References("more", "id", "items", "id")),
    )
    (root / "shop/load/more.sql").write_text(
        "SELECT id, 2 AS item FROM {{ schema | ident }}.staging WHERE id = 1;\n"
    )
    third, fourth = (3, "c", None), (4, "d", None)
    assert shop.load(OLD, OTHER, third, fourth) == [OLD, OTHER]


@pytest.mark.parametrize("load", [NEWEST, LAST, ReplaceWindow("changed")])
def test_nothing_of_a_load_is_left_in_the_runs_schema(root: Path, load: Load) -> None:
    shop = Shop(root, load)
    shop.load(OLD)
    _, tables = shop.database.execute(f"SELECT tablename FROM pg_tables WHERE schemaname = '{SCHEMA}'")
    assert tables == [("staging",)]
