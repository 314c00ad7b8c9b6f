"""Verify and answers: one task for each check and each question, all in parallel."""

from __future__ import annotations

import pytest

from subdags.verify import answers, verify
from tests.dags.graph import tasks, upstream


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (verify, {"verify.not_null_rents", "verify.unique_rents_rent"}),
        (answers, {"answers.dearest", "answers.cheapest"}),
    ],
)
def test_each_check_and_question_has_a_task_that_waits_for_no_other(build, part, expected):
    dag = build(part)
    assert tasks(dag) == expected
    assert all(upstream(dag, task) == set() for task in expected)


def test_a_checks_task_carries_that_check(build):
    dag = build(verify)
    assert {task.step.check.name for task in dag.tasks} == {"not_null_rents", "unique_rents_rent"}
