"""Names that cannot be used, and those that name nothing declared, each with what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from airflow_lib.declaration.names import name_mistakes
from airflow_lib.pipeline import (
    Answer,
    Complete,
    Holds,
    NotNull,
    Rebuild,
    References,
    Source,
    SparkJob,
    Staging,
    Table,
    Unique,
)
from tests.unit.airflow_lib.declaration.birds import BIRDS

TABLES = BIRDS.tables


def mistakes(**change: Any) -> list[str]:
    return list(name_mistakes(replace(BIRDS, **change)))


def job(*sources: str | Source, **given: Any) -> dict[str, Any]:
    return {"jobs": (SparkJob("sightings", sources, **given),)}


def test_names_that_can_be_used_are_right() -> None:
    assert mistakes() == []
    assert (
        mistakes(
            **job(
                "a b.csv",
                "folder/below/",
                "user*.csv",
                "2016-??/part-*",
                Source("x.csv", delimiter="\t"),
                max_rejected=0,
            )
        )
        == []
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Birds of Prey"}, "use 1 to 16 lower-case letters and digits"),
        ({"name": "janitor"}, "name 'janitor' is Mayfly's own: choose another"),
        ({"name": "shared"}, "name 'shared' is Mayfly's own: choose another"),
        ({"start": datetime(2020, 1, 1)}, "give it a time zone"),
        ({"max_parallel_runs": 0}, "max_parallel_runs 0: set it to at least 1"),
        ({"max_active_runs": 0}, "max_active_runs 0: set it to at least 1, or None for Airflow's default"),
        ({"answers": (Answer("a"), Answer("A"))}, "answer 'a' is declared 2 times: give each its own name"),
        ({"answers": (Answer("drop table;"),)}, "answer 'drop table;': use letters, digits and _"),
        ({"jobs": (*BIRDS.jobs, *BIRDS.jobs)}, "job 'sightings' is declared 2 times"),
        (job(), "job 'sightings' has no sources: name at least one"),
        (job("x", max_rejected=1.5), "max_rejected 1.5 is no share: give one from 0 (no row) to 1 (all)"),
        (job("x", max_rejected=-0.1), "max_rejected -0.1 is no share"),
        (job("x", max_rejected=float("nan")), "max_rejected nan is no share"),
        (job(""), "source '' is no file or folder below the pipeline's source folder"),
        (job("/etc/x.csv"), "source '/etc/x.csv' is no file or folder below"),
        (job("s3://other/x.csv"), "source 's3://other/x.csv' is no file or folder below"),
        (
            job("2016-*/"),
            "source '2016-*/' is a pattern for folders, and a pattern stands for files: give '2016-*/*'",
        ),
        (job("2016/**.csv"), "* stands for text within one level of the path, and ** for no more"),
        (job(Source("/")), "source '/' is no file or folder below"),
        (job(Source()), "a Source has no name: give one"),
        (job(Source("x.csv", delimiter="")), "delimiter '' of ['x.csv']: give one character"),
        (job(Source("x.csv", delimiter="||")), "delimiter '||' of ['x.csv']: give one character"),
        ({"tables": (*TABLES, Table("DIMBIRD", Rebuild()))}, "table 'dimbird' is declared 2 times"),
        ({"tables": (*TABLES, Table("dim-nest", Rebuild()))}, "table 'dim-nest': use letters"),
        ({"tables": (*TABLES, Table("d" * 128, Rebuild()))}, "has 128 characters: use 127 at most"),
        (
            {"tables": (*TABLES, Staging("load_window", output="sightings"))},
            "'load_window' has the name of one of",
        ),
        (
            {"tables": (*TABLES, Staging("create_tables", output="sightings"))},
            "'create_tables' has the name of one",
        ),
        (
            {"tables": (*TABLES, Table("Mayfly_Loads", Rebuild()))},
            "'Mayfly_Loads': names with mayfly_ first are",
        ),
        (
            {"tables": (*TABLES, Staging("staging_nests", output="sighting"))},
            "names output 'sighting', which is not declared: declare it, or correct the name; did you mean 'sight",
        ),
        ({"checks": (NotNull("dimBird", ("x",)), NotNull("dimBird", ("y",)))}, "check 'not_null_dimbird' is"),
        ({"checks": (Holds("a b", "dimBird", "x > 1"),)}, "check 'a b': use letters, digits and _"),
        (
            {"checks": (Holds("big", "dimBird", " "),)},
            "check 'big' has no predicate: write the condition that",
        ),
        ({"checks": (Unique("dimBird", ()),)}, "names no columns: name at least one"),
        (
            {"checks": (NotNull("dimbird", ("x",)),)},
            "names table 'dimbird', which is not declared: declare it, or correct the name; did you mean 'dimBird'?",
        ),
        ({"checks": (References("dimBird", "x", "dimNest", "x"),)}, "names table 'dimNest'"),
        ({"checks": (Complete("factSighting", "staging_x"),)}, "names Staging 'staging_x'"),
        ({"checks": (Complete("factSighting", "dimBird"),)}, "names Staging 'dimBird'"),
        ({"checks": (Complete("staging_sightings", "staging_sightings"),)}, "names Table 'staging_sigh"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(change: dict[str, Any], message: str) -> None:
    (mistake,) = mistakes(**change)
    assert message in mistake


def test_a_job_of_the_name_of_a_task_beside_it_is_told() -> None:
    own = SparkJob("release_emr", ("x",))
    (mistake,) = mistakes(
        jobs=(*BIRDS.jobs, own), tables=(*TABLES, Staging("staging_more", output="release_emr"))
    )
    assert mistake == "job 'release_emr' has the name of one of Mayfly's own tasks: choose another"


def test_a_pipeline_without_jobs_has_nothing_to_load() -> None:
    assert mistakes(jobs=(), tables=(), checks=()) == ["no jobs: declare at least one SparkJob"]
