"""Verify and answers: one task for each table with checks and each question, in parallel unless one reads another."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from airflow.sdk import DAG

from airflow_lib.pipeline import Answer, Table
from subdags.verify import answers, verify
from tests.dags.flats import FLATS
from tests.dags.graph import tasks, upstream


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (verify, {"verify.rents"}),
        (answers, {"answers.dearest", "answers.cheapest"}),
    ],
)
def test_each_table_with_checks_and_each_question_has_a_task_that_waits_for_no_other(build, part, expected):
    dag = build(part)
    assert tasks(dag) == expected
    assert all(upstream(dag, task) == set() for task in expected)


def test_a_tables_task_carries_that_table(build):
    dag = build(verify)
    assert {task.step.table for task in dag.tasks} == {"rents"}


def test_an_answer_waits_for_those_whose_tables_it_reads_and_for_no_other(monkeypatch):
    reads = {"cheapest": ("Dearest",), "mean": ("cheapest", "dearest"), "odd": ("dearest_of_all",)}
    module = sys.modules["subdags.verify"]
    monkeypatch.setattr(module, "list_answers_read", lambda _, answer: reads.get(answer.name, ()))
    declared = [Answer(name, table=True) for name in ("dearest", "cheapest", "mean", "odd")]
    with DAG("flats", schedule=None, start_date=FLATS.start) as dag:
        answers(replace(FLATS, answers=tuple(declared)))
    assert {task: upstream(dag, f"answers.{task}") for task in ("dearest", "cheapest", "mean", "odd")} == {
        "dearest": set(),
        "cheapest": {"answers.dearest"},
        "mean": {"answers.dearest", "answers.cheapest"},
        "odd": set(),
    }


def test_each_table_and_each_answer_is_an_asset_of_the_one_task_that_says_it_is_verified(dag, pipeline):
    """A table without checks has no task below `verify`: its rows are right once the load has committed."""
    outlets = {asset.uri: task.task_id for task in dag.tasks for asset in task.outlets}
    assert outlets == {
        **{
            f"mayfly://{pipeline.name}/tables/{table.name}": (
                f"verify.{table.name}" if pipeline.checks_of(table.name) else "load.load_window"
            )
            for table in pipeline.tables
            if isinstance(table, Table)
        },
        **{
            f"mayfly://{pipeline.name}/answers/{answer.name}": f"answers.{answer.name}"
            for answer in pipeline.answers
        },
    }
    assert sum(len(task.outlets) for task in dag.tasks) == len(outlets)


def test_an_asset_is_the_same_by_name_and_by_uri(build):
    (task,) = build(verify).tasks
    (asset,) = task.outlets
    assert asset.name == asset.uri == "mayfly://flats/tables/rents"
