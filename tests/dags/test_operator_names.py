"""What Airflow's UI shows as each task's operator, read from the serialised DAG as the UI does."""

from __future__ import annotations

import pytest
from airflow.serialization.serialized_objects import DagSerialization

NAMES = {
    "plan": "Plan",
    "provision.preflight": "Preflight",
    "provision.lease": "Lease",
    "provision.emr": "EMR cluster",
    "provision.warehouse": "Redshift cluster",
    "transform.release_emr": "Release EMR",
    "load.create_tables": "Create tables",
    "load.load_window": "Load transaction",
    "release.release_warehouse": "Release Redshift",
    "release.inventory": "Inventory",
    "verdict": "Verdict",
}
# Of a part's other tasks, one for each job, staging table, table with checks, and question.
NAME_IN_PART = {"transform": "Livy session", "load": "COPY", "verify": "Checks", "answers": "Answer"}


@pytest.fixture(scope="module")
def shown(dagbag):
    """The operator's name of every task, by DAG and task id."""
    names = {}
    for dag in dagbag.dags.values():
        read_back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        names[dag.dag_id] = {task.task_id: task.operator_name for task in read_back.tasks}
    return names


def test_a_task_is_shown_as_what_it_does(pipeline, shown):
    found = shown[pipeline.name]
    assert found.keys() >= NAMES.keys()
    assert found == {task: NAMES.get(task) or NAME_IN_PART[task.partition(".")[0]] for task in found}


def test_the_janitors_task_is_shown_as_janitor(shown):
    assert shown["janitor"] == {"pass": "Janitor"}


def test_no_task_is_shown_by_the_name_of_a_python_class(shown):
    assert [name for names in shown.values() for name in names.values() if name.endswith("Operator")] == []


@pytest.fixture(scope="module")
def read_back(dagbag):
    """Every DAG as Airflow's web server has it."""
    return {
        name: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for name, dag in dagbag.dags.items()
    }


def test_a_dag_and_each_of_its_tasks_say_what_they_do_and_what_a_clear_does(pipeline, read_back):
    dag = read_back[pipeline.name]
    assert dag.doc_md.startswith(f"# {pipeline.name}\n")
    for task in dag.tasks:
        assert "A retry or a clear of it" in task.doc_md, task.task_id
        assert "Where to look: " in task.doc_md, task.task_id


def test_the_janitors_dag_says_what_it_does(read_back):
    assert "outlived its lease" in read_back["janitor"].doc_md


def test_the_tasks_that_work_in_the_warehouse_show_their_sql(pipeline, read_back):
    shows = {task.task_id for task in read_back[pipeline.name].tasks if "sql" in task.template_fields}
    assert {task.partition(".")[0] for task in shows} <= {"load", "verify", "answers"}
    in_part = {task.task_id for task in read_back[pipeline.name].tasks if task.task_id.startswith("load.")}
    assert in_part <= shows


def test_each_task_has_links_to_the_report_and_to_what_it_works_with(pipeline, read_back):
    links = {task.task_id: set(task.extra_links) for task in read_back[pipeline.name].tasks}
    assert all("Run report" in found for found in links.values())
    assert "EMR console" in links["provision.emr"]
    assert "Redshift console" in links["load.load_window"]
    for job in pipeline.jobs:
        assert {"Livy session", "Livy log", "Output in S3"} <= links[f"transform.{job.name}"]
    for answer in pipeline.answers:
        assert {"Output in S3", "Redshift console"} <= links[f"answers.{answer.name}"]
