"""Where the time of a run goes, by its tasks' dates."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from bench import backfill_days
from bench.__main__ import MEASURES, ON_REQUEST
from bench.hops import Hop, critical_path, seconds_covered
from sandbox.airflow.client import TaskRun

BEGUN = datetime(2026, 11, 28, 12, tzinfo=UTC)
UPSTREAM = {
    "plan": set(),
    "emr": {"plan"},
    "job": {"emr"},
    "warehouse": {"plan"},
    "load": {"job", "warehouse"},
}


def at(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def task(name: str, queued: float, start: float, end: float) -> TaskRun:
    return TaskRun(name, "success", at(start), at(end), 1, queued=at(queued))


TASKS = [
    task("plan", 1, 2, 3),
    task("emr", 65, 5, 66),  # it was deferred, and queued again once its trigger fired
    task("job", 67, 68, 90),
    task("warehouse", 4, 5, 45),
    task("load", 91, 92, 100),
    TaskRun("never", None, None, None, 0),
]


def test_the_path_goes_back_by_the_tasks_that_ended_last() -> None:
    assert critical_path(TASKS, UPSTREAM, BEGUN) == [
        Hop("plan", 1, 1, 1),
        Hop("emr", 2, 0, 61),
        Hop("job", 1, 1, 22),
        Hop("load", 1, 1, 8),
    ]


def test_the_hops_add_up_to_the_time_from_the_runs_start_to_its_last_task() -> None:
    hops = critical_path(TASKS, UPSTREAM, BEGUN)
    assert sum(hop.scheduling_s + hop.starting_s + hop.working_s for hop in hops) == 100


def test_time_in_several_intervals_counts_once() -> None:
    assert seconds_covered([(at(0), at(10)), (at(5), at(12)), (at(6), at(7)), (at(20), at(21))]) == 13
    assert seconds_covered([]) == 0


def test_the_report_of_a_backfill_lists_every_figure_and_hop() -> None:
    run = {
        "tasks": 5,
        "wall_s": 110.0,
        "critical_path_s": 92.0,
        "wall_to_critical_path": 1.2,
        "after_the_last_task_s": 10.0,
        "calls_per_cluster_minute": 30.0,
        "hops": [asdict(hop) for hop in critical_path(TASKS, UPSTREAM, BEGUN)],
    }
    figures = {
        "machine": {"cpus": 2, "load_before": 0.5},
        "backfill": {"days": 30, "emr_made": 1},
        "a cluster each": {"days": 3, "emr_made": 3},
        "one run": run,
        "fewer checks": run,
    }
    lines = backfill_days.render(figures, "2026-11-28").splitlines()
    assert "| emr made | 1 | 3 |" in lines
    assert lines.count("| emr | 2.0 | 0.0 | 61.0 |") == 2
    assert sum("**1.2**" in line for line in lines) == 2


def test_it_is_measured_only_if_it_is_named() -> None:
    assert "backfill_days" in ON_REQUEST
    assert "backfill_days" not in MEASURES
