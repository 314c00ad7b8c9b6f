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
    "transform.arrivals": "Livy session",
    "transform.release_emr": "Release EMR",
    "load.create_tables": "Create tables",
    "load.staging_immigration": "COPY",
    "load.load_window": "Load transaction",
    "verify.factArrivetheUsa": "Checks",
    "answers.stays_april_2016": "Answer",
    "release.release_warehouse": "Release Redshift",
    "release.inventory": "Inventory",
    "verdict": "Verdict",
}


@pytest.fixture(scope="module")
def shown(dagbag):
    """The operator's name of every task, by DAG and task id."""
    names = {}
    for dag in dagbag.dags.values():
        read_back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        names[dag.dag_id] = {task.task_id: task.operator_name for task in read_back.tasks}
    return names


@pytest.mark.parametrize(("task_id", "name"), NAMES.items())
def test_a_task_is_shown_as_what_it_does(shown, task_id, name):
    assert shown["immigration"][task_id] == name


def test_the_janitors_task_is_shown_as_janitor(shown):
    assert shown["janitor"] == {"pass": "Janitor"}


def test_no_task_is_shown_by_the_name_of_a_python_class(shown):
    assert [name for names in shown.values() for name in names.values() if name.endswith("Operator")] == []
