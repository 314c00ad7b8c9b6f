"""A declaration that cannot work is refused where its DAG file is parsed, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import Answer
from subdags import build_dag
from tests.dags.flats import FLATS

SPOILT = replace(
    FLATS, schedule="every day", start=datetime(2016, 4, 1), answers=(Answer("dearest"), Answer("dearest"))
)


def test_all_mistakes_are_one_error() -> None:
    with pytest.raises(DeclarationError) as caught:
        build_dag(SPOILT)
    told = str(caught.value)
    assert "start 2016-04-01 00:00:00: give it a time zone" in told
    assert "answer 'dearest' is declared 2 times" in told
    assert "schedule 'every day'" in told
    assert "sparkjobs/flats/ is missing" in told
    assert "sql_templates/flats/ is missing" in told


@pytest.mark.parametrize(
    "spoilt",
    [
        replace(FLATS, jobs=None),  # type: ignore[arg-type]
        replace(FLATS, jobs=FLATS.jobs * 2),
        replace(FLATS, answers=(Answer("dearest"), Answer("dearest"))),
        replace(FLATS, schedule=7),  # type: ignore[arg-type]
        replace(FLATS, start="2016-04-01"),  # type: ignore[arg-type]
    ],
)
def test_no_mistake_ends_in_an_error_of_python_or_airflow(spoilt: object) -> None:
    with pytest.raises(DeclarationError):
        build_dag(spoilt)  # type: ignore[arg-type]


def test_a_mistake_that_came_in_since_the_run_began_keeps_no_teardown_from_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker parses the file for one task, and Airflow tells it which."""
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "flats")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "transform.release_emr")
    dag = build_dag(replace(FLATS, max_parallel_runs=99))
    assert dag.get_task("transform.release_emr").is_teardown
