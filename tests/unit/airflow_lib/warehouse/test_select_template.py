"""What a load's SELECT gives, and what it reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import Rebuild, Table, WindowUnit
from airflow_lib.warehouse.select_template import Select, read_select
from tests.unit.airflow_lib.warehouse.shop import SHOP

BEST = Table("best", Rebuild())


def select(root: Path, sql: str, unit: WindowUnit = WindowUnit.DAY) -> Select:
    file = root / "shop" / "load" / "best.sql"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sql)
    return read_select(replace(SHOP, window_unit=unit), BEST, root=root)


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT a, t.B, c AS d FROM t;", ("a", "B", "d")),
        ("SELECT COUNT(*) AS n, MAX(a) FROM t;", ("n", "")),
        ("SELECT CAST(a AS INT), a + 1 AS b FROM t;", ("", "b")),
        ("SELECT t.*, 1 AS one FROM t;", ("*", "one")),
        ("SELECT a FROM t UNION ALL SELECT b FROM u;", ("a",)),
        ("-- Why.\nWITH u AS (SELECT a AS b FROM t) SELECT b FROM u;", ("b",)),
        ("(SELECT a FROM t);", ("a",)),
    ],
)
def test_a_select_has_columns_by_their_names(tmp_path: Path, sql: str, columns: tuple[str, ...]) -> None:
    assert select(tmp_path, sql).columns == columns


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT a FROM dimItem JOIN FactSale ON 1 = 1;", {"dimitem", "factsale"}),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.x IN (SELECT x FROM v));", {"t", "u", "v"}),
        ("SELECT (SELECT MAX(a) FROM u) AS a FROM t UNION SELECT a FROM v;", {"t", "u", "v"}),
        ("WITH t AS (SELECT a FROM u) SELECT a FROM t;", {"u"}),
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t;", {"t"}),
    ],
    ids=["joined", "subqueries", "union", "with", "with hides a table from what follows it alone"],
)
def test_a_select_reads_tables_wherever_in_it(tmp_path: Path, sql: str, tables: set[str]) -> None:
    assert select(tmp_path, sql).tables == tables


@pytest.mark.parametrize("unit", WindowUnit)
def test_staging_is_told_apart_and_the_window_is_known(tmp_path: Path, unit: WindowUnit) -> None:
    read = select(
        tmp_path,
        "SELECT a FROM {{ schema | ident }}.staging_sales JOIN staging_sales AS other ON 1 = 1\n"
        "WHERE day >= {{ window_start | literal }} AND day < {{ window_end | literal }};",
        unit,
    )
    assert (read.tables, read.staging) == ({"staging_sales"}, {"staging_sales"})


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 AS a;\nSELECT 2 AS a;", "holds 2 statements, but one SELECT is expected"),
        ("DELETE FROM t;", "'DELETE FROM t' is out of place: one SELECT is expected"),
        ("SELECT a INTO b FROM t;", "is out of place: one SELECT is expected"),
    ],
)
def test_what_is_not_one_select_is_an_error_that_names_the_file(
    tmp_path: Path, sql: str, message: str
) -> None:
    with pytest.raises(WarehouseError, match=message) as raised:
        select(tmp_path, sql)
    assert "shop/load/best.sql" in str(raised.value)
