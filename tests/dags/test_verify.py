"""Verify and answers: one task for each table with checks and each question, in parallel unless one reads another."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from airflow.sdk import DAG

from airflow_lib.pipeline import Answer
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
