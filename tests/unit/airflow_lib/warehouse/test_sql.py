"""Rendering: which values and names get into SQL, and which are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.sql import ROOT, ident, literal, render, statements


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (7, "7"),
        (date(2016, 4, 1), "'2016-04-01'"),
        (datetime(2016, 4, 1, 10, 20, tzinfo=UTC), "'2016-04-01 10:20:00'"),
        (datetime(2016, 4, 1, tzinfo=UTC), "'2016-04-01 00:00:00'"),
        (datetime(2016, 4, 1, 10, 20, 0, 1500, tzinfo=UTC), "'2016-04-01 10:20:00.001500'"),
        (datetime(2016, 4, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))), "'2016-03-31 23:30:00'"),
        ("INT'L FALLS", "'INT''L FALLS'"),
        ("'; DROP TABLE x; --", "'''; DROP TABLE x; --'"),
        (("F", "M"), "('F', 'M')"),
        ([1, 2], "(1, 2)"),
        (-0.5, "-0.5"),
        (1e-7, "1e-07"),
    ],
)
def test_a_value_becomes_one_literal(value: object, written: str) -> None:
    assert literal(value) == written


@pytest.mark.parametrize(
    "value",
    [
        "a\\",
        "a\0b",
        "two\nlines",
        (),
        float("nan"),
        float("-inf"),
        object(),
        ("a", "\\"),
        datetime(2016, 4, 1),
    ],
)
def test_a_value_that_is_not_safe_is_refused(value: object) -> None:
    with pytest.raises(WarehouseError, match="SQL literal"):
        literal(value)


@pytest.mark.parametrize(
    ("name", "written"), [("dimTourist", '"dimtourist"'), ("_a1", '"_a1"'), ("year", '"year"')]
)
def test_an_identifier_is_quoted_in_the_case_redshift_folds_it_to(name: str, written: str) -> None:
    assert ident(name) == written


@pytest.mark.parametrize("name", ["", "1a", "a b", 'a"b', "a;b", "a.b", "a-b", "ä", "a\n", "a" * 128])
def test_what_is_not_an_identifier_is_refused(name: str) -> None:
    with pytest.raises(WarehouseError, match="not an SQL identifier"):
        ident(name)


def test_a_schema_and_a_table_are_one_identifier() -> None:
    assert ident(("staging_1", "Sales")) == '"staging_1"."sales"'


def test_rendered_sql_knows_its_file(root: Path) -> None:
    assert render("demo/one", root=root, what=1, where="here").template == f"{root.name}/demo/one.sql"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "one.sql").write_text("SELECT {{ what | literal }} FROM {{ where | ident }};\n")
    return tmp_path


def test_a_template_is_rendered_below_another_root(root: Path) -> None:
    assert render("demo/one", root=root, what="it's", where="Here") == "SELECT 'it''s' FROM \"here\";\n"


@pytest.mark.parametrize(
    ("values", "missing"), [({"what": 1}, "where"), ({"where": "here"}, "what")], ids=["ident", "literal"]
)
def test_a_value_that_was_not_passed_is_named(root: Path, values: dict[str, object], missing: str) -> None:
    with pytest.raises(
        WarehouseError, match=rf"demo/one\.sql: '{missing}' is undefined.* here {next(iter(values))}\."
    ):
        render("demo/one", root=root, **values)


def test_a_missing_template_is_named_by_its_path(root: Path) -> None:
    with pytest.raises(WarehouseError, match=r"no SQL template demo/two\.sql"):
        render("demo/two", root=root)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT\n{{ what | idnt }};", r"demo/two\.sql, line 2: No filter named 'idnt'"),
        ("SELECT {{ what;", r"demo/two\.sql, line 1: "),
        ("{% for %}", r"demo/two\.sql, line 1: "),
    ],
)
def test_what_is_no_template_is_named_with_its_line(root: Path, text: str, told: str) -> None:
    (root / "demo" / "two.sql").write_text(text)
    with pytest.raises(WarehouseError, match=told):
        render("demo/two", root=root, what=1)


def test_a_template_in_another_encoding_is_named(root: Path) -> None:
    (root / "demo" / "two.sql").write_bytes("SELECT 'Käse'".encode("cp1252"))
    with pytest.raises(WarehouseError, match=r"demo/two\.sql is not UTF-8 .*: save it as UTF-8\."):
        render("demo/two", root=root)


def test_the_templates_are_found_from_the_package() -> None:
    assert (ROOT / "shared" / "copy.sql").is_file()


def test_statements_lose_comments_and_closing_semicolons_alone() -> None:
    script = "-- First;\nSELECT ';' ;\n\n  -- Second;\nSELECT 1 -\n1;\n-- nothing more;\n"

    assert statements(script) == ["SELECT ';'", "SELECT 1 -\n1"]


def test_a_literal_is_never_mistaken_for_a_comment_or_an_end() -> None:
    script = f"SELECT {literal('s3://bucket/a--b;')};\n"

    assert statements(script) == ["SELECT 's3://bucket/a--b;'"]
