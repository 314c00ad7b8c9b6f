"""Bounds that bind something, and fit the columns that they bound."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from airflow_lib.declaration.checks import check_mistakes
from airflow_lib.pipeline import Between, Check, Fresh, RowCount
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files

INSTANT = datetime(2016, 4, 1, tzinfo=UTC)
TABLE = "factSighting"


@pytest.fixture
def stamped(files: Files) -> Files:
    """The fact, with a column of each kind."""
    files.write(
        f"sql_templates/birds/create/{TABLE}.sql",
        f"CREATE TABLE {TABLE} (\n"
        "    bird_id VARCHAR(8), seen_on DATE, seen_at TIMESTAMP, birds INT, weight DECIMAL(9, 2)\n);\n",
    )
    return files


def mistakes(files: Files, *checks: Check) -> list[str]:
    return list(check_mistakes(replace(BIRDS, checks=checks), root=files.templates))


@pytest.mark.parametrize(
    "check",
    [
        Between(TABLE, "birds", 0, 10),
        Between(TABLE, "BIRDS", None, 10),
        Between(TABLE, "weight", 0.5, 2),
        Between(TABLE, "birds", 1, 1),
        Between(TABLE, "seen_on", date(2016, 4, 1), date(2016, 4, 30)),
        Between(TABLE, "seen_at", date(2016, 4, 1), None),
        Between(TABLE, "seen_at", INSTANT, None),
        Fresh(TABLE, "seen_on", 48),
        Fresh(TABLE, "seen_at", 0.5),
        RowCount(TABLE, at_least=1),
        RowCount(TABLE, at_most=0),
        RowCount("staging_sightings", at_least=0, at_most=9),
        Between("staging_sightings", "sighting_id", 1, None),
        Fresh("staging_sightings", "seen_on", 48),
    ],
)
def test_a_bound_that_fits_its_column_is_right(stamped: Files, check: Check) -> None:
    assert mistakes(stamped, check) == []


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (Between(TABLE, "birds", None, None), "has neither low nor high, so nothing could fail it"),
        (Between(TABLE, "birds", 5, 4), "low 5 is above high 4: swap the two"),
        (
            Between(TABLE, "seen_on", date(2016, 5, 1), date(2016, 4, 1)),
            "low 2016-05-01 is above high 2016-04-01",
        ),
        (Between(TABLE, "birds", 1, date(2016, 4, 1)), "give two of one kind"),
        (Between(TABLE, "seen_at", INSTANT, date(2016, 4, 1)), "give two of one kind"),
        (Between(TABLE, "birds", -math.inf, 4), "-inf is no number to compare with: give None"),
        (Between(TABLE, "seen_at", datetime(2016, 4, 1), None), "has no time zone"),
        (
            Between(TABLE, "bird_id", 1, None),
            "is a VARCHAR(8) in birds/create/factSighting.sql, but its bounds are num",
        ),
        (
            Between(TABLE, "bird_id", date(2016, 4, 1), None),
            "its bounds are dates: name a DATE or TIMESTAMP, or use H",
        ),
        (
            Between(TABLE, "seen_on", INSTANT, None),
            "is a DATE in birds/create/factSighting.sql, but its bounds are ins",
        ),
        (Between(TABLE, "seen_on", 1, None), "its bounds are numbers"),
        (
            Between(TABLE, "brids", 1, None),
            "column 'brids' is no column of birds/create/factSighting.sql: correct the",
        ),
        (Between(TABLE, "brids", 1, None), "did you mean 'birds'"),
        (Fresh(TABLE, "seen_on", 0), "max_age_h 0 is no age: give hours, more than 0"),
        (Fresh(TABLE, "seen_on", -1), "max_age_h -1 is no age"),
        (Fresh(TABLE, "seen_on", math.nan), "max_age_h nan is no age"),
        (Fresh(TABLE, "seen_on", math.inf), "max_age_h inf is no age"),
        (Fresh(TABLE, "bird_id", 24), "an age is told by a DATE or TIMESTAMP: name such a column"),
        (Fresh(TABLE, "birds", 24), "but an age is told by a DATE or TIMESTAMP"),
        (Fresh(TABLE, "seen_in", 24), "column 'seen_in' is no column of"),
        (RowCount(TABLE), "has no bound that a table could miss"),
        (RowCount(TABLE, at_least=0), "has no bound that a table could miss"),
        (RowCount(TABLE, at_least=-1), "at_least -1 is no number of rows: give 0 or more"),
        (RowCount(TABLE, at_most=-5), "at_most -5 is no number of rows"),
        (RowCount(TABLE, at_least=3, at_most=2), "at_least 3 is above at_most 2: swap the two"),
    ],
)
def test_a_bound_that_cannot_work_is_told_once(stamped: Files, check: Any, told: str) -> None:
    (mistake,) = mistakes(stamped, check)
    assert mistake.startswith(f"check {check.name!r}")
    assert told in mistake


def test_a_table_whose_template_does_not_tell_its_columns_is_left_to_the_templates(files: Files) -> None:
    files.write(f"sql_templates/birds/create/{TABLE}.sql", "SELECT 1;")
    assert mistakes(files, Fresh(TABLE, "seen_on", 24)) == []
