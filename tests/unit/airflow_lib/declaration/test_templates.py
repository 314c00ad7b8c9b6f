"""Every template is there, renders with what a run gives it, and is SQL of Redshift of its kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_lib.declaration.templates import template_mistakes
from airflow_lib.pipeline import Answer, Pipeline, WindowUnit
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files


def mistakes(files: Files, pipeline: Pipeline = BIRDS) -> list[str]:
    return list(template_mistakes(pipeline, root=files.templates))


@pytest.mark.parametrize("unit", WindowUnit)
def test_templates_that_can_run_are_right(files: Files, unit: WindowUnit) -> None:
    assert mistakes(files, replace(BIRDS, window_unit=unit)) == []


@pytest.mark.parametrize(
    "path",
    [
        "create/staging_sightings",
        "create/dimBird",
        "create/factSighting",
        "load/dimBird",
        "load/factSighting",
        "answers/rarest",
    ],
)
def test_a_missing_template_is_told(files: Files, path: str) -> None:
    (files.templates / "birds" / f"{path}.sql").unlink()
    (mistake,) = mistakes(files)
    assert mistake == f"sql_templates/birds/{path}.sql is missing: write it, or correct the name"


def test_a_missing_template_is_told_with_the_one_that_looks_like_it(files: Files) -> None:
    (mistake,) = mistakes(files, replace(BIRDS, answers=(Answer("rearest"),)))
    assert mistake.endswith("did you mean 'rarest'?")


def test_a_missing_folder_is_told_once(files: Files) -> None:
    (mistake,) = mistakes(files, replace(BIRDS, name="brids"))
    assert mistake == (
        "sql_templates/brids/ is missing: write the SQL there, one file a table and step; did you mean 'birds'?"
    )


@pytest.mark.parametrize(
    ("path", "sql", "told"),
    [
        ("load/dimBird", "SELECT {{ scheme | ident }};", "'scheme' is undefined"),
        ("create/dimBird", "CREATE TABLE {{ schema | ident }}.dimBird (a INT);", "'schema' is undefined"),
        ("answers/rarest", "SELECT {{ window_start | literal }};", "'window_start' is undefined"),
        (
            "load/dimBird",
            "SELECT\n{{ schema | idnt }};",
            "dimBird.sql, line 2: No filter named",
        ),
        ("load/dimBird", "SELECT {{ schema;", "load/dimBird.sql, line 1: "),
        (
            "load/dimBird",
            "SELECT\n1 FORM b;",
            "load/dimBird.sql, line 2: this is not SQL of",
        ),
        ("load/dimBird", "SELECT 'a;", "load/dimBird.sql: this is not SQL of Redshift"),
        ("load/dimBird", "SELEC * FROM x;", "this is not SQL of Redshift, near 'SELEC * FROM'"),
        (
            "load/dimBird",
            "TRUNCATE dimBird;",
            "'TRUNCATE TABLE dimBird' is out of place: one SELECT is expected",
        ),
        ("load/dimBird", "COMMIT;", "'COMMIT' is out of place: one SELECT is expected"),
        ("load/dimBird", "VACUUM dimBird;", "'VACUUM dimBird' is out of place: one SELECT"),
        ("load/dimBird", "INSERT INTO dimBird SELECT 1;", "is out of place: one SELECT is expected"),
        ("load/dimBird", "SELECT bird INTO dimBird FROM a;", "is out of place: one SELECT is expected"),
        ("load/dimBird", "SELECT 1;\nSELECT 2;", "holds 2 statements, but one SELECT is expected"),
        ("create/dimBird", "CREATE TABEL dimBird (a INT);", "one CREATE TABLE of dimBird, with its columns"),
        ("create/dimBird", "CREATE TABLE dimBrid (a INT);", "one CREATE TABLE of dimBird, with its columns"),
        (
            "answers/rarest",
            "DELETE FROM dimBird;",
            "'DELETE FROM dimBird' is out of place: one SELECT is expected",
        ),
        ("answers/rarest", "SELECT 1;\nSELECT 2;", "holds 2 statements, but one SELECT is expected"),
        ("answers/rarest", "-- SELECT 1;", "holds 0 statements, but one SELECT is expected"),
        ("load/dimBird", "", "holds 0 statements, but one SELECT"),
    ],
)
def test_a_template_that_could_not_run_is_told_with_its_file(
    files: Files, path: str, sql: str, told: str
) -> None:
    files.write(f"sql_templates/birds/{path}.sql", f"{sql}\n")
    (mistake,) = mistakes(files)
    assert f"birds/{path}.sql" in mistake
    assert told in mistake


def test_a_template_in_another_encoding_is_told(files: Files) -> None:
    files.write("sql_templates/birds/answers/rarest.sql", "SELECT 'M\xe4use';".encode("latin-1"))
    (mistake,) = mistakes(files)
    assert "birds/answers/rarest.sql is not UTF-8" in mistake


@pytest.mark.parametrize(
    ("path", "sql"),
    [
        ("answers/rarest", "WITH a AS (SELECT 1 AS b) SELECT b FROM a UNION ALL SELECT 2;"),
        ("answers/rarest", "(SELECT 1);"),
        ("load/dimBird", "WITH a AS (SELECT 1 AS bird) SELECT bird FROM a;"),
    ],
)
def test_what_redshift_takes_is_not_refused(files: Files, path: str, sql: str) -> None:
    files.write(f"sql_templates/birds/{path}.sql", f"{sql}\n")
    assert mistakes(files) == []
