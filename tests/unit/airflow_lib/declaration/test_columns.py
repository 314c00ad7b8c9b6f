"""Columns that a declaration names are in the tables' `create/` templates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.declaration.columns import column_mistakes
from airflow_lib.pipeline import (
    AcceptedValues,
    Check,
    Holds,
    Newest,
    NotNull,
    Pipeline,
    References,
    ReplaceWindow,
    Table,
    Unique,
    WindowUnit,
)
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files
from tests.world import readings
from tests.world.pipeline import TEMPLATES

INSTANTS = replace(BIRDS, window_unit=WindowUnit.INSTANT)


def mistakes(files: Files, pipeline: Pipeline = BIRDS, **change: Any) -> list[str]:
    return list(column_mistakes(replace(pipeline, **change), root=files.templates))


def test_columns_that_are_there_are_right_in_any_case(files: Files) -> None:
    assert mistakes(files) == []
    assert mistakes(files, checks=(NotNull("dimBird", ("BIRD_ID", "bird_id")),)) == []


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (
            Table("dimBird", Newest(), key=("birdid",)),
            "table 'dimBird': key 'birdid' is no column of birds/create/dimBird.sql: correct the one or the other; did",
        ),
        (
            Table("factSighting", ReplaceWindow("seen_on"), key=("sighting_id", "nr")),
            "table 'factSighting': key 'nr' is no column",
        ),
        (
            Table("factSighting", Newest(by="seen"), key=("sighting_id",)),
            "table 'factSighting': Newest's column 'seen' is no column of birds/create/factSighting.sql",
        ),
        (
            Table("factSighting", Newest(), key=("bird_id",)),
            "table 'factSighting': its key 'bird_id' may be null by birds/create/factSighting.sql, and a null equals",
        ),
        (
            Table("factSighting", ReplaceWindow("seen")),
            "table 'factSighting': window column 'seen' is no column of birds/create/factSighting.sql",
        ),
    ],
)
def test_a_key_or_window_column_that_the_table_has_not_is_told(files: Files, table: Any, told: str) -> None:
    (mistake,) = mistakes(files, tables=(table,))
    assert mistake.startswith(told)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (NotNull("dimBird", ("bird_id", "sizes")), "column 'sizes' is no column of birds/create/dimBird.sql"),
        (Unique("dimBird", ("sise",)), "column 'sise' is no column of birds/create/dimBird.sql"),
        (NotNull("staging_sightings", ("bird_id",)), "is no column of birds/create/staging_sightings.sql"),
        (
            References("factSighting", "brid_id", "dimBird", "bird_id"),
            "'brid_id' is no column of birds/create/fact",
        ),
        (
            References("factSighting", "bird_id", "dimBird", "bird"),
            "column 'bird' is no column of birds/create/dim",
        ),
        (
            AcceptedValues("dimBird", "sizes", ("S",)),
            "column 'sizes' is no column of birds/create/dimBird.sql",
        ),
        (AcceptedValues("dimBird", "size", ()), "Pass at least one value"),
        (AcceptedValues("dimBird", "size", ("a\\b",)), "Pass text without them"),
        (Holds("big", "dimBird", "UPPER(sizes) = 'L'"), "check 'big': column 'sizes' is no column"),
        (Holds("big", "dimBird", "(size = 'L'"), "check 'big': its SQL, line 3: this is not SQL of Redshift"),
        (Holds("big", "dimBird", "size = 'L' -- big"), "check 'big': its SQL, line 3: this is not SQL"),
        (
            Holds("big", "dimBird", "size = 'L');\nDELETE FROM dimBird WHERE (1 = 1"),
            "more than one statement",
        ),
    ],
)
def test_a_check_of_a_column_that_is_not_there_or_of_what_is_no_sql_is_told(
    files: Files, check: Check, told: str
) -> None:
    (mistake,) = mistakes(files, checks=(check,))
    assert mistake.startswith(f"check {check.name!r}: ")
    assert told in mistake


@pytest.mark.parametrize(
    "predicate",
    [
        "seen_on < SYSDATE AND seen_on::date > DATE '1900-01-01'",
        "DATEDIFF(day, seen_on, CURRENT_DATE) >= 0 AND EXTRACT(year FROM seen_on) > 1900",
        "bird_id IN (SELECT other.nest FROM other WHERE other.place = 'x')",
        "factSighting.birds BETWEEN 0 AND 3",
        "bird_id SIMILAR TO '%;%' AND USER <> 'x'",
    ],
)
def test_a_predicate_of_redshift_is_not_refused(files: Files, predicate: str) -> None:
    assert mistakes(files, checks=(Holds("fine", "factSighting", predicate),)) == []


@pytest.mark.parametrize("sql", ["CREATE TABLE other (a INT);", "SELECT 1;", "CREATE TABLE dimBird (", None])
def test_a_table_whose_template_does_not_tell_its_columns_is_not_this_checks_matter(
    files: Files, sql: str | None
) -> None:
    if sql is None:
        (files.templates / "birds/create/dimBird.sql").unlink()
    else:
        files.write("sql_templates/birds/create/dimBird.sql", sql)
    assert mistakes(files) == []


@pytest.mark.parametrize("kind", ["TIMESTAMP NOT NULL", "timestamp without time zone", "TIMESTAMPTZ"])
def test_a_timestamp_tells_instants_apart(files: Files, kind: str) -> None:
    write_window_column(files, kind)
    assert mistakes(files, INSTANTS) == []


@pytest.mark.parametrize("kind", ["DATE", "VARCHAR(19)", "BIGINT"])
def test_another_type_is_a_mistake_since_its_windows_would_hold_other_rows(files: Files, kind: str) -> None:
    write_window_column(files, f"{kind} NOT NULL")
    (mistake,) = mistakes(files, INSTANTS)
    assert f"window column 'seen_on' is a {kind} in birds/create/factSighting.sql" in mistake
    assert mistake.endswith("make it a TIMESTAMP")


@pytest.mark.parametrize("kind", ["DATE", "VARCHAR(10)", "TIMESTAMP"])
def test_windows_of_days_go_with_each(files: Files, kind: str) -> None:
    write_window_column(files, kind)
    assert mistakes(files) == []


def test_the_small_pipeline_of_instants_is_right() -> None:
    assert list(column_mistakes(readings.PIPELINE, root=TEMPLATES)) == []


def write_window_column(files: Files, kind: str) -> None:
    files.write(
        "sql_templates/birds/create/factSighting.sql",
        f"CREATE TABLE factSighting (sighting_id INT NOT NULL, bird_id INT, birds INT, SEEN_ON {kind});\n",
    )
