"""A schedule is checked against the pipeline's windows when the DAG is parsed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import timezone
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import Pipeline, Window, WindowUnit
from operators.airflow_run import window_of
from subdags import build_dag
from subdags.schedule import make_timetable, schedule_mistakes
from tests.dags.flats import FLATS


def scheduled(schedule: str | None, unit: WindowUnit = WindowUnit.DAY) -> Pipeline:
    return replace(FLATS, schedule=schedule, window_unit=unit)


MORE_THAN_DAILY = [
    "*/10 * * * *",
    "@hourly",
    "0 0,12 * * *",
    "0 0,12 1 * *",
    "0 0 * * * */20",
    "59 22,23 29 2 *",
]


@pytest.mark.parametrize("schedule", MORE_THAN_DAILY)
def test_windows_of_days_and_a_schedule_of_more_than_one_run_a_day_are_refused(schedule: str) -> None:
    (mistake,) = schedule_mistakes(scheduled(schedule))
    assert "more than once on one day" in mistake
    assert "window_unit=WindowUnit.INSTANT" in mistake
    with pytest.raises(DeclarationError, match="pipeline 'flats' cannot work:[^~]*more than once"):
        build_dag(scheduled(schedule))


@pytest.mark.parametrize("schedule", MORE_THAN_DAILY)
def test_windows_of_instants_go_with_every_schedule(schedule: str) -> None:
    assert list(schedule_mistakes(scheduled(schedule, WindowUnit.INSTANT))) == []


@pytest.mark.parametrize(
    "schedule",
    ["1 0 * * *", "@daily", "30 12 * * 1-5", "@weekly", "@quarterly", "0 0 29 2 *", "59 23 */2 * *"],
)
def test_windows_of_days_go_with_one_run_a_day_or_fewer_at_any_time_of_it(schedule: str) -> None:
    assert list(schedule_mistakes(scheduled(schedule))) == []


@pytest.mark.parametrize("unit", WindowUnit)
def test_a_pipeline_without_a_schedule_has_no_timetable_and_no_mistake(unit: WindowUnit) -> None:
    assert list(schedule_mistakes(scheduled(None, unit))) == []
    assert make_timetable(scheduled(None, unit)) is None


@pytest.mark.parametrize("schedule", ["", "daily", "@once", "99 * * * *", "0 0 31 2 *"])
def test_what_is_no_schedule_is_named(schedule: str) -> None:
    (mistake,) = schedule_mistakes(scheduled(schedule, WindowUnit.INSTANT))
    assert mistake.startswith(f"schedule {schedule!r}: ")
    assert "give a cron expression, or None" in mistake


def window(pipeline: Pipeline, interval: DataInterval) -> Window:
    run: Any = SimpleNamespace(data_interval_start=interval.start, data_interval_end=interval.end)
    return window_of({"params": {}, "dag_run": run}, pipeline)


def timetable(schedule: str) -> CronDataIntervalTimetable:
    return CronDataIntervalTimetable(schedule, "UTC")


@pytest.mark.parametrize(
    ("schedule", "unit", "count"),
    [("*/10 * * * *", WindowUnit.INSTANT, 2 * 24 * 6), ("1 0 * * *", WindowUnit.DAY, 2)],
)
def test_the_windows_of_scheduled_runs_follow_each_other_without_gap_or_overlap(
    schedule: str, unit: WindowUnit, count: int
) -> None:
    pipeline, start = scheduled(schedule, unit), timezone.coerce_datetime(datetime(2016, 4, 1, tzinfo=UTC))
    info, windows = None, []
    for _ in range(count):
        info = timetable(schedule).next_dagrun_info(
            last_automated_data_interval=info.data_interval if info else None,
            restriction=TimeRestriction(earliest=start, latest=None, catchup=True),
        )
        windows.append(window(pipeline, info.data_interval))
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert (windows[-1].end - windows[0].start) == timedelta(days=2)


@pytest.mark.parametrize("seed", range(5))
def test_a_run_of_a_ten_minute_pipeline_triggered_by_hand_loads_the_last_whole_ten_minutes(seed: int) -> None:
    schedule = "*/10 * * * *"
    moment = datetime(2016, 4, 1, tzinfo=UTC) + timedelta(seconds=random.Random(seed).randrange(86400))
    interval = timetable(schedule).infer_manual_data_interval(run_after=timezone.coerce_datetime(moment))
    loaded = window(scheduled(schedule, WindowUnit.INSTANT), interval)
    assert loaded.end - loaded.start == timedelta(minutes=10)
    assert loaded.end <= moment < loaded.end + timedelta(minutes=10)
