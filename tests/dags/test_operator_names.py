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
