"""SQL is read as Redshift's, and what is none is told with template and line."""

from __future__ import annotations

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.dialect import parse_script, parse_type
from airflow_lib.warehouse.sql import Script


def test_each_statement_comes_back_in_order() -> None:
    parsed = parse_script(Script("DELETE FROM a;\nINSERT INTO a SELECT 1;\n-- the end\n", "shop/load/a.sql"))
    assert [statement.key for statement in parsed] == ["delete", "insert"]


def test_what_only_redshift_has_is_read() -> None:
    (made,) = parse_script(
        Script("CREATE TABLE a (b INT IDENTITY(1, 1)) DISTKEY (b) SORTKEY (b);", "shop/create/a.sql")
    )
    assert made.key == "create"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "SELECT a\nFROM (SELECT 1;",
            "shop/x.sql, line 2: this is not SQL of Redshift, near 'FROM (SELECT 1'",
        ),
        ("SELECT 'a", "shop/x.sql: this is not SQL of Redshift: "),
        ("SELECT 1 )", "shop/x.sql, line 1: this is not SQL of Redshift, near 'SELECT 1 )'"),
    ],
)
def test_what_is_no_sql_is_told_with_its_place(sql: str, told: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        parse_script(Script(sql, "shop/x.sql"))
    assert told in str(caught.value)
    assert str(caught.value).endswith("Correct it.")


def test_a_type_is_read_in_the_catalogues_words_and_an_unknown_one_is_told() -> None:
    found = parse_type("character varying(8)")
    assert found is not None
    assert found.sql("redshift") == "VARCHAR(8)"
    assert parse_type("no such ( type") is None
