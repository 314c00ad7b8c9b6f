"""A pipeline's SQL, tables and checks have one hash, which any change of them changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import NotNull, OnEmpty, ReplaceWindow, Table
from airflow_lib.warehouse.sql_hash import hash_sql
from tests.unit.airflow_lib.warehouse.shop import SHOP, write_templates

SALES = Table("factSale", ReplaceWindow("day", OnEmpty.KEEP))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_templates(tmp_path)


def test_the_hash_is_the_same_as_long_as_nothing_changes(root: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", hash_sql(SHOP, root))
    assert hash_sql(SHOP, root) == hash_sql(replace(SHOP, schedule="@daily", answers=()), root)


@pytest.mark.parametrize("name", ["create/dimItem", "create/staging_sales", "load/factSale"])
def test_a_changed_template_changes_it(root: Path, name: str) -> None:
    before = hash_sql(SHOP, root)
    file = root / "shop" / f"{name}.sql"
    file.write_text("-- Changed.\n" + file.read_text())
    assert hash_sql(SHOP, root) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda: replace(SHOP, checks=(NotNull("dimItem", ("item",)),)),
        lambda: replace(SHOP, tables=(*SHOP.tables[:-1], SALES)),
    ],
    ids=["checks", "tables"],
)
def test_changed_tables_and_checks_change_it(root: Path, change: Callable[[], object]) -> None:
    assert hash_sql(change(), root) != hash_sql(SHOP, root)  # type: ignore[arg-type]


def test_a_missing_template_is_an_error_that_names_it(root: Path) -> None:
    (root / "shop/load/dimDay.sql").unlink()
    with pytest.raises(WarehouseError, match=r"shop/load/dimDay\.sql"):
        hash_sql(SHOP, root)
