"""Transform: every Spark session at once, then the release of EMR."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk import DAG

from airflow_lib.pipeline import JobOutput, SparkJob
from subdags.transform import transform
from tests.dags.flats import FLATS
from tests.dags.graph import upstream

SESSIONS = ("transform.flats", "transform.rents")


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_waits_for_no_other(build, session):
    assert upstream(build(transform), session) == set()


def test_emr_is_released_after_the_last_session(build):
    assert upstream(build(transform), "transform.release_emr") == set(SESSIONS)


@pytest.mark.parametrize("session", SESSIONS)
def test_no_more_runs_open_a_session_than_the_cluster_is_sized_for(build, session):
    assert build(transform).get_task(session).max_active_tis_per_dag == 3


def test_of_several_runs_one_at_a_time_releases_emr(build):
    assert build(transform).get_task("transform.release_emr").max_active_tis_per_dag == 1


def test_a_session_that_reads_anothers_output_waits_for_that_one_alone():
    jobs = (
        SparkJob("offers", sources=(JobOutput("cities"), JobOutput("rents"), JobOutput("flats"))),
        SparkJob("flats", sources=("flats.csv",), outputs=("flats", "cities")),
        SparkJob("rents", sources=("rents.csv",)),
        SparkJob("report", sources=(JobOutput("offers"),)),
    )
    with DAG("flats", schedule=None, start_date=FLATS.start) as dag:
        transform(replace(FLATS, jobs=jobs))
    tasks = {name: f"transform.{name}" for name in ("flats", "rents", "offers", "report")}
    assert upstream(dag, tasks["flats"]) == upstream(dag, tasks["rents"]) == set()
    assert upstream(dag, tasks["offers"]) == {tasks["flats"], tasks["rents"]}
    assert dag.get_task(tasks["report"]).upstream_task_ids == {tasks["offers"]}
    assert upstream(dag, "transform.release_emr") == set(tasks.values())
