"""Answers that can be tables, be published, and be checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.declaration import validate
from airflow_lib.declaration.answers import answer_mistakes
from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import (
    Answer,
    Between,
    Check,
    Complete,
    Holds,
    NotNull,
    References,
    RowCount,
    Unique,
)
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files

RAREST = Answer("rarest", table=True)


def mistakes(files: Files, *answers: Answer, **change: Any) -> list[str]:
    return list(answer_mistakes(replace(BIRDS, answers=answers, **change), root=files.templates))


def write(files: Files, name: str, sql: str) -> None:
    files.write(f"sql_templates/birds/answers/{name}.sql", sql)


@pytest.mark.parametrize(
    "checks",
    [
        (RowCount("rarest", at_least=1), RowCount("rarest", at_most=9, name="few")),
        (NotNull("rarest", ("BIRD_ID",)), Unique("rarest", ("bird_id",)), Between("rarest", "seen", 0, None)),
        (References("rarest", "bird_id", "dimBird", "bird_id"), Holds("some", "rarest", "seen > 0")),
    ],
)
def test_checks_of_an_answers_own_table_are_right(files: Files, checks: tuple[Check, ...]) -> None:
    validate(
        replace(BIRDS, answers=(replace(RAREST, checks=checks),)),
        templates=files.templates,
        sparkjobs=files.sparkjobs,
    )


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (
            RowCount("dimBird", at_least=1),
            "names table 'dimBird': the checks of an answer name its own, 'rarest'",
        ),
        (RowCount("rarest"), "has no bound that a table could miss"),
        (Between("rarest", "seen", 5, 4), "low 5 is above high 4"),
        (NotNull("rarest", ("bird",)), "column 'bird' is none that birds/answers/rarest.sql returns"),
        (Unique("rarest", ()), "names no columns: name at least one"),
        (
            References("rarest", "bird_id", "dimBrid", "bird_id"),
            "names table 'dimBrid', which is not declared",
        ),
        (Holds("some", "rarest", " "), "has no predicate"),
        (Holds("some", "rarest", "seen >"), "this is not SQL of Redshift"),
        (Complete("sightings", "staging_sightings", "rarest"), "an answer stages nothing"),
    ],
)
def test_a_check_that_cannot_be_asked_of_the_answer_is_told_once(
    files: Files, check: Check, told: str
) -> None:
    (mistake,) = mistakes(files, replace(RAREST, checks=(check,)))
    assert mistake.startswith(f"answer 'rarest': check {check.name!r}")
    assert told in mistake


def test_a_query_has_no_table_to_check(files: Files) -> None:
    (mistake,) = mistakes(files, Answer("rarest", checks=(RowCount("rarest", at_least=1),)))
    assert mistake == (
        "answer 'rarest' has checks, and no table to ask: declare it with table=True, or leave them out"
    )


@pytest.mark.parametrize("table", [True, False])
def test_a_table_may_not_have_the_name_of_a_loaded_one(files: Files, table: bool) -> None:
    write(files, "DIMBIRD", "SELECT 1 AS one;")
    found = mistakes(files, Answer("DIMBIRD", table=table))
    assert bool(found) is table
    assert all("'DIMBIRD' has the name of a table" in mistake for mistake in found)


def test_a_name_of_mayflys_own_is_told(files: Files) -> None:
    write(files, "mayfly_new", "SELECT 1 AS one;")
    (mistake,) = mistakes(files, Answer("mayfly_new"))
    assert "names with mayfly_ first are those of Mayfly's own tables" in mistake


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("public", "holds other tables than answers"),
        ("PG_catalog", "holds other tables than answers"),
        ("information_schema", "holds other tables than answers"),
        ("staging_0123456789ab", "holds other tables than answers"),
        ("my answers", "use letters, digits and _"),
        ("4answers", "use letters, digits and _"),
    ],
)
def test_a_schema_that_is_not_the_answers_own_is_told(files: Files, schema: str, told: str) -> None:
    (mistake,) = mistakes(files, RAREST, answers_schema=schema)
    assert mistake.startswith(f"answers_schema {schema!r}")
    assert told in mistake


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT bird_id, COUNT(*) FROM factSighting GROUP BY bird_id;", "rarest.sql: column 2 has no name"),
        ("SELECT 1 AS a, 2 AS b, 3 AS A;", "rarest.sql returns 2 columns of the name 'a'"),
        ("SELECT seen FROM answers.rarest;", "reads answers.rarest, which is this answer itself"),
        (
            "SELECT seen FROM Answers.loudest;",
            "is declared after it: declare Answer('loudest', table=True) before it",
        ),
        ("SELECT seen FROM answers.rare;", "no answer that is a table: declare Answer('rare', table=True)"),
        (
            "WITH a AS (SELECT seen FROM answers.nothing) SELECT seen FROM a;",
            "reads answers.nothing, which is no answer that is a table",
        ),
    ],
)
def test_a_select_that_cannot_be_published_is_told_once(files: Files, sql: str, told: str) -> None:
    write(files, "rarest", sql)
    write(files, "loudest", "SELECT 1 AS seen;")
    (mistake,) = mistakes(files, RAREST, Answer("loudest", table=True))
    assert told in mistake


def test_an_answer_may_read_the_tables_of_answers_before_it(files: Files) -> None:
    write(files, "loudest", "SELECT seen FROM answers.rarest WHERE seen > 1;")
    assert mistakes(files, RAREST, Answer("loudest")) == []
    (mistake,) = mistakes(files, Answer("rarest"), Answer("loudest"))
    assert "no answer that is a table" in mistake


def test_an_answer_that_returns_all_columns_of_a_table_is_not_asked_for_their_names(files: Files) -> None:
    write(files, "rarest", "SELECT * FROM dimBird;")
    assert mistakes(files, replace(RAREST, checks=(NotNull("rarest", ("whatever",)),))) == []


def test_two_checks_of_one_name_are_told_wherever_they_are(files: Files) -> None:
    answer = replace(RAREST, checks=(RowCount("rarest", at_least=1, name="unique_dimBird_bird_id"),))
    with pytest.raises(DeclarationError, match="check 'unique_dimbird_bird_id' is declared 2 times"):
        validate(replace(BIRDS, answers=(answer,)), templates=files.templates, sparkjobs=files.sparkjobs)
