"""The DAG as a whole: it parses and serialises, its parts are in order, every teardown has its setups."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from airflow_lib.pipeline import WindowUnit
from airflow_lib.steps.serialization import from_json, to_json
from operators.release import ClosingOperator, ReleaseOperator
from subdags import make_dag
from tests.dags.conftest import FLATS
from tests.dags.graph import tasks, upstream

TEARDOWNS = ("transform.release_emr", "release.release_warehouse", "release.inventory", "verdict")


def test_every_dag_file_parses(dagbag):
    assert dagbag.import_errors == {}
    assert "immigration" in dagbag.dags


def test_every_dag_serialises(dagbag):
    for dag in dagbag.dags.values():
        json.dumps(DagSerialization.to_dict(dag))


def test_the_parts_come_in_order(dag):
    order = [task.task_id for task in dag.topological_sort()]
    chain = [
        "plan",
        "provision.preflight",
        "provision.lease",
        "provision.emr",
        "transform.arrivals",
        "load.staging_immigration",
        "load.load_window",
        "verify.factArrivetheUsa",
        "answers.stays_april_2016",
        "release.release_warehouse",
        "release.inventory",
        "verdict",
    ]
    assert [task for task in order if task in chain] == chain


def test_all_spark_sessions_start_as_soon_as_emr_is_there_and_none_waits_for_redshift(dag):
    for job in ("arrivals", "cities", "temperature", "airports"):
        assert dag.get_task(f"transform.{job}").upstream_task_ids == {"provision.emr"}
        assert "provision.warehouse" not in upstream(dag, f"transform.{job}")


def test_a_copy_waits_for_its_own_session_alone(dag):
    jobs = {task for task in upstream(dag, "load.staging_airport") if task.startswith("transform.")}
    assert jobs == {"transform.airports"}


def test_emr_is_released_without_waiting_for_the_load(dag):
    assert not {task for task in upstream(dag, "transform.release_emr") if task.startswith("load.")}


@pytest.mark.parametrize("task_id", TEARDOWNS)
def test_a_teardown_has_a_setup_that_cannot_fail_and_fails_the_run_when_it_fails(dag, task_id):
    task = dag.get_task(task_id)
    assert task.is_teardown
    assert task.on_failure_fail_dagrun
    assert "plan" in {setup.task_id for setup in task.upstream_list if setup.is_setup}


def test_nothing_else_is_a_teardown(dag):
    assert {task.task_id for task in dag.tasks if task.is_teardown} == set(TEARDOWNS)


@pytest.mark.parametrize(
    ("consumers", "teardown", "cluster"),
    [
        ("transform.", "transform.release_emr", "provision.emr"),
        (("load.", "verify.", "answers."), "release.release_warehouse", "provision.warehouse"),
    ],
)
def test_every_task_that_uses_a_cluster_is_between_its_setup_and_its_teardown(
    dag, consumers, teardown, cluster
):
    """Clearing a consumer then makes the cluster again, and tears it down again."""
    before = upstream(dag, teardown)
    for task in dag.tasks:
        if task.task_id.startswith(consumers) and task.task_id != teardown:
            assert task.task_id in before
            assert cluster in upstream(dag, task.task_id)
    assert dag.get_task(cluster).is_setup


def test_the_verdict_comes_after_everything(dag):
    assert upstream(dag, "verdict") == tasks(dag) - {"verdict"}


def test_no_run_has_a_timeout_that_would_skip_its_teardowns(dag):
    assert dag.dagrun_timeout is None
    assert all(task.execution_timeout is not None for task in dag.tasks)


@pytest.mark.parametrize("task_id", ["transform.release_emr", "release.release_warehouse"])
def test_a_release_knows_of_the_dags_other_runs(dag, task_id):
    assert isinstance(dag.get_task(task_id), ReleaseOperator)


def test_the_inventory_is_taken_only_where_the_leases_were(dag):
    assert isinstance(dag.get_task("release.inventory"), ClosingOperator)


def test_a_window_is_asked_for_as_dates(dag):
    params = dag.params.deep_merge({}) if hasattr(dag.params, "deep_merge") else dag.params
    params["window_start"] = "2016-04-01"
    with pytest.raises(ParamValidationError):
        params["window_start"] = "soon"


def test_a_pipeline_of_instants_asks_for_them_and_is_the_same_after_serialization():
    dag = make_dag(replace(FLATS, schedule="*/10 * * * *", window_unit=WindowUnit.INSTANT))
    params = dag.params
    params["window_start"] = "2016-04-01T10:20:00+00:00"
    for refused in ("2016-04-01", "soon"):
        with pytest.raises(ParamValidationError):
            params["window_end"] = refused
    step = dag.get_task("load.load_window")
    assert from_json(json.loads(json.dumps(to_json(step.pipeline)))).window_unit is WindowUnit.INSTANT


def test_a_step_and_its_pipeline_are_the_same_after_serialization_for_the_triggerer(dag):
    for task in dag.tasks:
        if hasattr(task, "step"):
            assert from_json(json.loads(json.dumps(to_json(task.step)))) == task.step
            assert from_json(json.loads(json.dumps(to_json(task.pipeline)))) == task.pipeline
