"""The chain of tasks that decided when a run ended."""

from __future__ import annotations

import pytest

from airflow_lib.report.critical_path import find_critical_path
from tests.report_sample import facts, green, idle, red, task


def test_the_path_goes_back_from_the_last_task_by_the_upstream_task_that_ended_last() -> None:
    run = facts(
        task("plan", 0, 1),
        task("short", 2, 3, "plan"),
        task("long", 2, 20, "plan", waited_s=15),
        task("unrelated", 0, 21),
        task("end", 22, 24, "short", "long"),
    )
    path = find_critical_path(run)
    told = [(hop.task.id, hop.before_s, hop.waited_s, hop.worked_s) for hop in path.hops]
    assert told == [("plan", 0, 0, 1), ("long", 1, 15, 3), ("end", 2, 0, 2)]
    assert (path.before_s, path.waited_s, path.worked_s) == (3, 15, 6)
    assert path.ids == {"plan", "long", "end"}


@pytest.mark.parametrize("run", [green(), red(), idle()], ids=["green", "red", "idle"])
def test_the_parts_of_the_path_add_up_to_the_run(run: object) -> None:
    path = find_critical_path(run)
    timed = run.timed
    wall_s = (max(one.ended for one in timed) - timed[0].began).total_seconds()
    assert path.before_s + path.waited_s + path.worked_s == pytest.approx(wall_s)


def test_a_task_without_times_is_looked_through() -> None:
    run = facts(task("a", 0, 1), task("killed", None, None, "a", state="failed"), task("end", 5, 6, "killed"))
    assert [hop.task.id for hop in find_critical_path(run).hops] == ["a", "end"]


def test_what_ran_again_after_a_clear_did_not_decide_when_the_next_task_began() -> None:
    run = facts(
        task("a", 0, 1),
        task("cleared", 50, 60, "a"),
        task("other", 2, 9, "a"),
        task("end", 10, 99, "cleared", "other"),
    )
    assert [hop.task.id for hop in find_critical_path(run).hops] == ["a", "other", "end"]


def test_two_hosts_clocks_may_differ_a_little() -> None:
    run = facts(task("a", 0, 5.5), task("end", 5, 6, "a"))
    path = find_critical_path(run)
    assert [(hop.task.id, hop.before_s) for hop in path.hops] == [("a", 0), ("end", 0)]


def test_a_task_never_waits_for_longer_than_it_took() -> None:
    (hop,) = find_critical_path(facts(task("a", 0, 5, waited_s=99))).hops
    assert (hop.waited_s, hop.worked_s) == (5, 0)


def test_where_nobody_noted_the_wait_all_of_the_time_counts_as_work() -> None:
    (hop,) = find_critical_path(facts(task("a", 0, 5, waited_s=None))).hops
    assert (hop.waited_s, hop.worked_s) == (None, 5)


def test_a_run_without_times_and_a_circle_of_tasks_have_an_end() -> None:
    assert find_critical_path(facts(task("a"))).hops == ()
    circle = facts(
        task("a", 0, 1, "b"), task("b", 0, 1, "a"), task("c", None, None, "c"), task("d", 2, 3, "c", "a")
    )
    assert [hop.task.id for hop in find_critical_path(circle).hops] == ["b", "a", "d"]
