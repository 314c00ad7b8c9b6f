"""What a report is made of."""

from __future__ import annotations

from airflow_lib.report.facts import ended_of, seconds_of
from tests.report_sample import at, facts, task


def test_tasks_with_times_come_in_the_order_in_which_they_began() -> None:
    run = facts(task("c", 5, 6), task("b"), task("a", 1, 9))
    assert [one.id for one in run.timed] == ["a", "c"]
    assert run.task("b") is not None
    assert run.task("d") is None


def test_a_task_never_ends_before_it_began_whatever_the_clocks_say() -> None:
    odd = task("a", 5, 4.5)
    assert ended_of(odd) == at(5)
    assert seconds_of(odd) == 0
