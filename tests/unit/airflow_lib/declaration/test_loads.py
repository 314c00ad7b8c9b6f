"""Loads that cannot work are told with what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.declaration.loads import load_mistakes
from airflow_lib.pipeline import Append, Newest, Rebuild, SparkJob, Table
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files
from tests.world import pipeline, readings, upserts
from tests.world.pipeline import TEMPLATES

STAGING, BIRD, SIGHTING = BIRDS.tables


def mistakes(files: Files, **change: Any) -> list[str]:
    return list(load_mistakes(replace(BIRDS, **change), root=files.templates))


def select(files: Files, table: str, sql: str) -> None:
    files.write(f"sql_templates/birds/load/{table}.sql", f"{sql}\n")


def test_loads_that_can_work_are_right(files: Files) -> None:
    assert mistakes(files) == []


@pytest.mark.parametrize("declared", [pipeline.PIPELINE, readings.PIPELINE, upserts.PIPELINE])
def test_the_pipelines_of_the_tests_worlds_are_right(declared: Any) -> None:
    assert list(load_mistakes(declared, root=TEMPLATES)) == []


def test_newest_needs_a_key(files: Files) -> None:
    (mistake,) = mistakes(files, tables=(STAGING, Table("dimBird", Newest())))
    assert mistake == (
        "table 'dimBird': Newest keeps one row for each key, and it has none: give it key=('column', …)"
    )


def test_append_is_refused_where_windows_may_overlap(files: Files) -> None:
    tables = (STAGING, Table("dimBird", Append()))
    (mistake,) = mistakes(files, tables=tables)
    assert mistake.startswith("table 'dimBird': windows may overlap")
    assert mistake.endswith("declare ReplaceWindow('column'), or Newest with a key")
    assert mistakes(files, tables=tables, jobs=(SparkJob("sightings", ("a.csv",)),)) == []


def test_a_rebuild_from_the_rows_of_one_window_is_refused(files: Files) -> None:
    tables = (STAGING, Table("dimBird", Rebuild()), SIGHTING)
    told = "table 'dimBird': Rebuild replaces all its rows, and its SELECT reads 'staging_sightings', which holds"
    for job in (BIRDS.jobs[0], SparkJob("sightings", ("a.csv",), partitioned_by="seen_on")):
        (mistake,) = mistakes(files, tables=tables, jobs=(job,))
        assert mistake.startswith(told)
    assert mistakes(files, tables=tables, jobs=(SparkJob("sightings", ("a.csv",)),)) == []
    select(files, "dimBird", "SELECT DISTINCT bird_id, CAST(NULL AS VARCHAR(1)) AS size FROM factSighting")
    assert mistakes(files, tables=tables) == []


def test_a_table_that_nothing_references_would_be_pruned_empty(files: Files) -> None:
    (mistake,) = mistakes(files, checks=())
    assert mistake.startswith("table 'dimBird' is to be pruned, but no check References it")
    assert "declare References('table', 'column', 'dimBird', 'key')" in mistake


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "SELECT 'a' AS brid_id, 'S' AS size;",
            [
                "birds/load/dimBird.sql: column 'brid_id' is none of its table: leave it out, or correct its name; did",
                "birds/load/dimBird.sql: its SELECT lacks column 'Bird_id': add it, as CAST(NULL AS VARCHAR(8)) where",
            ],
        ),
        ("SELECT 'a' AS BIRD_ID;", ["birds/load/dimBird.sql: its SELECT lacks column 'size'"]),
        (
            "SELECT 'a' AS bird_id, 'S';",
            ["birds/load/dimBird.sql: column 2 of its SELECT has no name of its own"],
        ),
        (
            "SELECT * FROM x;",
            ["birds/load/dimBird.sql: its SELECT has a *, which tells no columns: write them out"],
        ),
        (
            "SELECT 'a' AS bird_id, 'b' AS Bird_id, 'S' AS size;",
            ["birds/load/dimBird.sql: its SELECT has column 'bird_id' 2 times: leave it once"],
        ),
        ("SELECT 1 FORM x;", []),
    ],
    ids=["misspelt", "missing", "unnamed", "star", "twice", "no SQL, which is told elsewhere"],
)
def test_the_columns_of_a_select_are_those_of_its_table(files: Files, sql: str, told: list[str]) -> None:
    select(files, "dimBird", sql)
    found = mistakes(files)
    assert [one[: len(expected)] for one, expected in zip(found, told, strict=True)] == told


def test_an_identity_is_left_out(files: Files) -> None:
    files.write(
        "sql_templates/birds/create/dimBird.sql",
        "CREATE TABLE dimBird (nr BIGINT IDENTITY(1, 1), bird_id VARCHAR(8) NOT NULL);\n",
    )
    select(files, "dimBird", "SELECT 1 AS nr, 'a' AS bird_id;")
    (mistake,) = mistakes(files)
    assert mistake.endswith("column 'nr' is an identity, which the warehouse numbers itself: leave it out")


def test_selects_that_read_each_others_tables_are_told_once(files: Files) -> None:
    select(files, "dimBird", "SELECT bird_id, 'S' AS size FROM factSighting;")
    select(
        files, "factSighting", "SELECT 1 AS sighting_id, bird_id, NULL AS seen_on, 1 AS birds FROM dimBird;"
    )
    (mistake,) = mistakes(files)
    assert mistake.startswith("tables dimBird -> factSighting -> dimBird: each one's SELECT reads the next")


def test_a_rebuild_that_reads_a_table_which_references_it_is_right(files: Files) -> None:
    select(files, "dimBird", "SELECT DISTINCT bird_id, 'S' AS size FROM factSighting;")
    assert mistakes(files, tables=(STAGING, Table("dimBird", Rebuild()), SIGHTING)) == []
