"""Verify and answers: one task for each table with checks and each question, all in parallel."""

from __future__ import annotations

import pytest

from subdags.verify import answers, verify
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
