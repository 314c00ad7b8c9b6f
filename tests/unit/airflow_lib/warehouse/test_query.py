"""What a SELECT returns, reads and is ordered by."""

from __future__ import annotations

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.query import list_columns, list_tables, order_by
from airflow_lib.warehouse.sql import Script


def script(sql: str) -> Script:
    return Script(sql, "sql_templates/birds/answers/rarest.sql")


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT B.Bird_id, COUNT(*) AS seen FROM b AS B;", ("Bird_id", "seen")),
        ("SELECT bird_id, COUNT(*), 1 FROM b;", ("bird_id", "", "")),
        ("SELECT * FROM b;", ("*",)),
        ("WITH a AS (SELECT 1 AS x) SELECT x AS y FROM a UNION ALL SELECT 2;", ("y",)),
        ("(SELECT 1 AS x);", ("x",)),
        ('SELECT 1 AS "Two words";', ("Two words",)),
    ],
)
def test_the_columns_are_those_of_the_outer_select(sql: str, columns: tuple[str, ...]) -> None:
    assert list_columns(script(sql)) == columns


def test_the_tables_read_are_found_wherever_the_select_names_them() -> None:
    sql = (
        "WITH a AS (SELECT 1 AS x FROM answers.one) SELECT x FROM a JOIN ANSWERS.Two ON true "
        "WHERE x IN (SELECT y FROM answers.one) AND x < (SELECT MAX(z) FROM public.three);"
    )
    assert sorted(list_tables(script(sql), schema="answers")) == ["Two", "one"]


@pytest.mark.parametrize(
    ("sql", "order"),
    [
        ("SELECT a, b FROM t;", ""),
        ("SELECT a, b FROM t ORDER BY b DESC, a;", ' ORDER BY "b" DESC, "a"'),
        ("SELECT a, B AS c FROM t ORDER BY 2 DESC, 1;", ' ORDER BY "c" DESC, "a"'),
        (
            "SELECT S.Code, COUNT(*) AS n FROM t AS S GROUP BY 1 ORDER BY n DESC, s.code LIMIT 20;",
            ' ORDER BY "n" DESC, "code"',
        ),
        ("SELECT a, COUNT(*) AS n FROM t GROUP BY a ORDER BY COUNT(*);", ' ORDER BY "n"'),
        ("SELECT a FROM t ORDER BY a, unseen, a DESC;", ' ORDER BY "a"'),
        ("SELECT a FROM t ORDER BY t.unseen;", ""),
        ("SELECT a FROM t ORDER BY 7;", ""),
        ("SELECT * FROM t ORDER BY a;", ""),
        ("SELECT a FROM t UNION ALL SELECT b FROM u ORDER BY a DESC;", ' ORDER BY "a" DESC'),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a) AS s;", ""),
        ("SELECT a FROM t ORDER BY a DESC NULLS LAST;", ' ORDER BY "a" DESC NULLS LAST'),
    ],
)
def test_the_order_is_told_by_the_columns_that_are_returned(sql: str, order: str) -> None:
    assert order_by(script(sql)) == order


def test_what_is_not_one_statement_is_refused_by_its_file() -> None:
    with pytest.raises(WarehouseError, match=r"rarest\.sql holds 2 statements"):
        list_columns(script("SELECT 1;\nSELECT 2;"))
