"""All mistakes of a declaration are told at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from airflow_lib.declaration import validate
from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import (
    Answer,
    Complete,
    Hardware,
    Holds,
    Newest,
    NotNull,
    Pipeline,
    References,
    ReplaceWindow,
    SparkJob,
    Staging,
    Table,
)
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files

SPOILT = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1),
    jobs=(
        SparkJob("sigtings", sources=("/sightings.csv",), windowed=True, max_rejected=50),
        SparkJob("release_emr", sources=()),
    ),
    tables=(
        Staging("staging_sightings", output="sightings"),
        Table("dimBird", Newest(), key=("birdid",), prune=True),
        Table("factSighting", ReplaceWindow("seen"), key=("sighting_id",)),
    ),
    checks=(
        NotNull("factSighting", ("bird",)),
        References("factSighting", "bird_id", "dimBirds", "bird_id"),
        Complete("dimBird", staging="staging_sights"),
        Holds("some", "factSighting", "bird > 0"),
        Holds("none", "factSighting", "(birds > 0"),
    ),
    answers=(Answer("rarest"), Answer("rarest"), Answer("commonest")),
    hardware=Hardware(core_count=0, warehouse_node_type="dc2.large"),
    max_parallel_runs=0,
)


def check(pipeline: Pipeline, files: Files) -> None:
    validate(pipeline, templates=files.templates, sparkjobs=files.sparkjobs)


def test_a_pipeline_that_can_work_is_valid(files: Files) -> None:
    check(BIRDS, files)


def test_a_declaration_with_many_mistakes_is_told_all_of_them_at_once(files: Files) -> None:
    files.write("sql_templates/birds/load/dimBird.sql", "SELECT 1 FORM x;\n")
    with pytest.raises(DeclarationError) as caught:
        check(SPOILT, files)
    title, *mistakes = str(caught.value).split("\n- ")
    assert title == "The declaration of pipeline 'birds' cannot work:"
    begins = [mistake[:40] for mistake in mistakes]
    expected = [
        "start 2020-01-01",
        "max_parallel_runs 0",
        "answer 'rarest' is declared 2 times",
        "job 'release_emr' has the name",
        "job 'sigtings': max_rejected 50",
        "job 'sigtings': no table takes its outp",
        "job 'sigtings': source '/sightings.csv'",
        "job 'release_emr' has no sources",
        "job 'release_emr': no table takes its",
        "table 'staging_sightings' names output",
        "check 'references_factSighting_bird_id_d",
        "check 'complete_dimBird' names Staging",
        "hardware: core_count",
        "hardware: warehouse_node_type",
        "table 'dimBird' is to be pruned, but",
        "job 'sigtings': sparkjobs/birds/sigtings",
        "job 'release_emr': sparkjobs/birds/relea",
        "sql_templates/birds/load",
        "sql_templates/birds/answers/commonest.sq",
        "table 'dimBird': key 'birdid'",
        "table 'factSighting': window column 'se",
        "check 'not_null_factSighting': column",
        "check 'some': column 'bird'",
        "check 'none': its SQL",
    ]
    missing = [one for one in expected if not any(begin.startswith(one) for begin in begins)]
    assert missing == [], begins


def test_wrong_types_are_told_alone_since_the_rest_would_be_told_of_values_that_are_not_there(
    files: Files,
) -> None:
    spoilt = replace(SPOILT, jobs=(SparkJob("sightings", sources=("x.csv")),), checks=None)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError) as caught:
        check(spoilt, files)
    assert str(caught.value).count("\n- ") == 2
    assert "sources is 'x.csv'" in str(caught.value)
    assert "checks is None" in str(caught.value)


def test_further_looks_are_told_with_the_rest_and_not_asked_of_wrong_types(files: Files) -> None:
    def look(pipeline: Pipeline) -> list[str]:
        assert isinstance(pipeline.jobs, tuple)
        return ["the schedule is wrong"]

    with pytest.raises(DeclarationError, match="\n- max_parallel_runs 0: .*\n- the schedule is wrong"):
        validate(
            replace(BIRDS, max_parallel_runs=0),
            also=[look],
            templates=files.templates,
            sparkjobs=files.sparkjobs,
        )
    with pytest.raises(DeclarationError, match="jobs is None"):
        validate(replace(BIRDS, jobs=None), also=[look])  # type: ignore[arg-type]


def test_what_is_no_pipeline_is_refused() -> None:
    with pytest.raises(DeclarationError, match="'birds' is no Pipeline"):
        validate("birds")  # type: ignore[arg-type]
