"""Every declared pipeline's DAG as a whole: it serialises, its parts are in order, every teardown has its setups."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from airflow_lib.steps.serialization import from_json, to_json
from operators.release import ClosingOperator, ReleaseOperator
from subdags import make_dag
from tests.dags.flats import FLATS, INSTANTS
from tests.dags.graph import tasks, upstream
from tests.sql.declarations import declared_pipelines

TEARDOWNS = ("transform.release_emr", "release.release_warehouse", "release.inventory", "verdict")


def test_every_dag_file_parses_and_is_a_declared_pipelines_or_the_janitors(dagbag):
    assert dagbag.import_errors == {}
    assert dagbag.dags.keys() == {"janitor", *(pipeline.name for pipeline in declared_pipelines())}


def test_every_dag_serialises(dagbag):
    for dag in dagbag.dags.values():
        json.dumps(DagSerialization.to_dict(dag))


def parts_of(pipeline):
    """The tasks of a pipeline in the order in which they must run; those of one part, in any order."""
    checked = {check.table for check in pipeline.checks}
    parts = [
        {"plan"},
        {"provision.preflight"},
        {"provision.lease"},
        {"provision.emr", "provision.warehouse"},
        {f"load.{table.name}" for table in pipeline.staging},
        {"load.load_window"},
        {f"verify.{table}" for table in checked},
        {f"answers.{answer}" for answer in pipeline.answers},
        {"release.release_warehouse"},
        {"release.inventory"},
        {"verdict"},
    ]
    return [part for part in parts if part]


def test_the_parts_come_in_order(pipeline, dag):
    for before, after in pairwise(parts_of(pipeline)):
        for task_id in after:
            assert before <= upstream(dag, task_id)


def test_a_dag_has_a_task_for_each_thing_declared_and_no_other(pipeline, dag):
    sessions = {f"transform.{job.name}" for job in pipeline.jobs}
    others = {"transform.release_emr", "load.create_tables"}
    assert tasks(dag) == sessions.union(others, *parts_of(pipeline))


def test_all_spark_sessions_start_as_soon_as_emr_is_there_and_none_waits_for_redshift(pipeline, dag):
    for job in pipeline.jobs:
        assert dag.get_task(f"transform.{job.name}").upstream_task_ids == {"provision.emr"}
        assert "provision.warehouse" not in upstream(dag, f"transform.{job.name}")


def test_a_copy_waits_for_its_own_session_alone(pipeline, dag):
    for table in pipeline.staging:
        before = upstream(dag, f"load.{table.name}")
        assert {task for task in before if task.startswith("transform.")} == {
            f"transform.{pipeline.job_of(table.output).name}"
        }
        assert "load.create_tables" in before


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


@pytest.mark.parametrize(
    ("declared", "accepted", "refused"),
    [
        (FLATS, "2016-04-01", "2016-04-01T10:20:00+00:00"),
        (INSTANTS, "2016-04-01T10:20:00+00:00", "2016-04-01"),
    ],
    ids=["days", "instants"],
)
def test_the_form_takes_days_or_instants_and_the_unit_is_the_same_after_serialization(
    declared, accepted, refused
):
    dag = make_dag(declared)
    dag.params["window_start"] = accepted
    for wrong in (refused, "soon"):
        with pytest.raises(ParamValidationError):
            dag.params["window_end"] = wrong
    step = dag.get_task("load.load_window")
    assert from_json(json.loads(json.dumps(to_json(step.pipeline)))).window_unit is declared.window_unit


@pytest.mark.parametrize("leftovers", [False, True])
def test_what_is_skipped_where_there_is_nothing_to_do(pipeline, dag, leftovers):
    """Everything after the preflight but the verdict; the releases run where somebody else left what may have to go."""
    releases = set(TEARDOWNS) - {"verdict"}
    skipped = set(dag.get_task("provision.preflight").list_idle(leftovers=leftovers))
    kept = {"plan", "provision.preflight", "verdict"} | (releases if leftovers else set())
    assert skipped == tasks(dag) - kept


@pytest.mark.parametrize("leftovers", [False, True])
def test_airflow_runs_the_teardowns_that_are_not_skipped(dag, leftovers):
    """Its rule of a teardown: all that is before it is over, and one of its setups has succeeded."""
    skipped = set(dag.get_task("provision.preflight").list_idle(leftovers=leftovers))
    for task in dag.tasks:
        if task.is_teardown and task.task_id not in skipped:
            assert task.trigger_rule == "all_done_setup_success"
            assert {one.task_id for one in task.upstream_list if one.is_setup} - skipped
        elif task.task_id not in skipped | {"plan", "provision.preflight"}:
            raise AssertionError(f"{task.task_id} would wait for what was skipped")


def test_no_operator_of_a_dag_skips_again_when_it_is_cleared(dag):
    """Airflow skips anew what follows a SkipMixin, though a person cleared it (NotPreviouslySkippedDep)."""
    assert not [task.task_id for task in dag.tasks if task.inherits_from_skipmixin]


def test_a_run_can_be_forced_and_is_not_unless_somebody_says_so(dag):
    assert dag.params["force"] is False
    dag.params["force"] = True
    with pytest.raises(ParamValidationError):
        dag.params["force"] = "yes"
    assert dag.params.get_param("force").schema["title"] == "Force"
    dag.params["force"] = False


def test_a_step_and_its_pipeline_are_the_same_after_serialization_for_the_triggerer(dag):
    for task in dag.tasks:
        if hasattr(task, "step"):
            assert from_json(json.loads(json.dumps(to_json(task.step)))) == task.step
            assert from_json(json.loads(json.dumps(to_json(task.pipeline)))) == task.pipeline
