"""A schedule is checked against the pipeline's windows when the DAG is parsed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import timezone
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_lib.errors import DeclarationError, SettingsError
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


BERLIN = "Europe/Berlin"


def days_of(schedule: str, start: datetime, count: int, zone: str = BERLIN) -> list[tuple[Any, float]]:
    """The windows of Airflow's runs from `start` on, each with its hours."""
    pipeline, info, found = replace(scheduled(schedule), timezone=zone), None, []
    for _ in range(count):
        info = CronDataIntervalTimetable(schedule, zone).next_dagrun_info(
            last_automated_data_interval=info.data_interval if info else None,
            restriction=TimeRestriction(
                earliest=timezone.coerce_datetime(start.replace(tzinfo=ZoneInfo(zone))),
                latest=None,
                catchup=True,
            ),
        )
        hours = (info.data_interval.end - info.data_interval.start).total_seconds() / 3600
        found.append((window(pipeline, info.data_interval), hours))
    return found


def day(number: int, month: int) -> Window:
    return Window(date(2016, month, number), date(2016, month, number) + timedelta(days=1))


@pytest.mark.parametrize("schedule", ["0 0 * * *", "1 0 * * *", "30 1 * * *", "30 2 * * *", "0 7 * * *"])
@pytest.mark.parametrize(("month", "hours"), [(3, 23), (10, 25)])
def test_a_days_window_is_that_date_of_the_zone_when_the_clocks_change(
    schedule: str, month: int, hours: int
) -> None:
    """The clocks of Berlin changed on 27 March and 30 October 2016, both at 01:00 UTC."""
    changed = 27 if month == 3 else 30
    found = days_of(schedule, datetime(2016, month, changed - 1), 3)
    first = changed - 1
    assert [one for one, _ in found] == [day(first + number, month) for number in range(3)]
    assert hours in [length for _, length in found]


def test_midnight_in_berlin_loads_the_day_that_ended_there_and_not_the_one_of_utc() -> None:
    ((loaded, _),) = days_of("0 0 * * *", datetime(2016, 4, 1), 1)
    assert loaded == day(1, 4)


def test_windows_of_instants_stay_in_utc_whatever_the_zone() -> None:
    pipeline = replace(scheduled("0 0 * * *", WindowUnit.INSTANT), timezone=BERLIN)
    interval = CronDataIntervalTimetable("0 0 * * *", BERLIN).infer_manual_data_interval(
        run_after=timezone.coerce_datetime(datetime(2016, 4, 1, 23, tzinfo=UTC))
    )
    loaded = window(pipeline, interval)
    assert loaded == Window(datetime(2016, 3, 31, 22, tzinfo=UTC), datetime(2016, 4, 1, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    ("schedule", "zone", "told"),
    [
        ("30 2 * * *", BERLIN, "2016-03-27 02:30 is a time that Europe/Berlin does not have"),
        ("30 2 * * *", "America/New_York", "2016-03-13 02:30 is a time that America/New_York"),
        ("0 0 * * *", "America/Santiago", "2016-08-14 00:00 is a time that America/Santiago"),
    ],
)
def test_a_time_that_the_zones_clocks_skip_is_refused(schedule: str, zone: str, told: str) -> None:
    (mistake,) = schedule_mistakes(replace(scheduled(schedule), timezone=zone))
    assert told in mistake
    assert "schedule it at a time that each day has" in mistake


@pytest.mark.parametrize(
    ("schedule", "zone"),
    [
        ("30 2 * * *", "UTC"),
        ("0 7 * * *", BERLIN),
        ("0 0 * * *", BERLIN),
        ("59 1 * * *", BERLIN),
        ("0 3 * * *", BERLIN),
        ("30 2 * * 1-5", BERLIN),  # the clocks change on Sundays
        ("30 2 * * *", "Asia/Tokyo"),
    ],
)
def test_a_time_that_each_day_has_is_none(schedule: str, zone: str) -> None:
    assert list(schedule_mistakes(replace(scheduled(schedule), timezone=zone))) == []


def test_a_schedule_of_every_hour_goes_with_every_zone() -> None:
    pipeline = replace(scheduled("*/10 * * * *", WindowUnit.INSTANT), timezone=BERLIN)
    assert list(schedule_mistakes(pipeline)) == []


def test_airflow_would_leave_out_the_run_before_a_time_that_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why such a schedule is refused; where this fails, Airflow does without the refusal."""
    # The run of the 26th is due at 01:30 UTC.
    now = timezone.coerce_datetime(datetime(2016, 3, 27, 2, tzinfo=UTC))
    monkeypatch.setattr("airflow.timetables.interval.utcnow", lambda: now)
    made = timezone.coerce_datetime(datetime(2016, 3, 25, 1, 30, tzinfo=UTC))
    info = CronDataIntervalTimetable("30 2 * * *", BERLIN).next_dagrun_info(
        last_automated_data_interval=DataInterval(made, made.add(days=1)),
        restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
    )
    pipeline = replace(scheduled("30 2 * * *"), timezone=BERLIN)
    assert window(pipeline, info.data_interval) == day(27, 3)  # and never the 26th


@pytest.mark.parametrize(("zone", "loads"), [("UTC", True), (BERLIN, False)])
def test_more_than_once_a_day_is_told_by_the_days_of_the_zone(zone: str, loads: bool) -> None:
    """From 23:30 to 00:30 UTC is within one day of Berlin."""
    pipeline = replace(scheduled("30 1 * * *"), timezone=BERLIN)
    interval = DataInterval(
        timezone.coerce_datetime(datetime(2016, 4, 1, 23, 30, tzinfo=UTC)),
        timezone.coerce_datetime(datetime(2016, 4, 2, 0, 30, tzinfo=UTC)),
    )
    pipeline = replace(pipeline, timezone=zone)
    if loads:
        assert window(pipeline, interval) == day(1, 4)
    else:
        with pytest.raises(SettingsError, match=r"lies within one day.*\(Europe/Berlin\)"):
            window(pipeline, interval)


@pytest.mark.parametrize("schedule", MORE_THAN_DAILY)
@pytest.mark.parametrize("zone", [BERLIN, "Pacific/Auckland"])
def test_more_than_one_run_on_a_day_of_the_zone_is_refused(schedule: str, zone: str) -> None:
    mistakes = list(schedule_mistakes(replace(scheduled(schedule), timezone=zone)))
    assert any("more than once on one day" in mistake for mistake in mistakes)


@pytest.mark.parametrize("schedule", [None, "0 7 * * *"])
@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("", "such as Europe/Berlin"),
        ("/etc/x", "no time zone"),
    ],
)
def test_a_time_zone_that_is_none_is_named(schedule: str | None, zone: str, told: str) -> None:
    (mistake,) = schedule_mistakes(replace(scheduled(schedule), timezone=zone))
    assert mistake.startswith(f"timezone {zone!r} is no time zone")
    assert told in mistake


def test_the_timetable_is_in_the_pipelines_zone() -> None:
    made = make_timetable(replace(scheduled("0 7 * * *"), timezone=BERLIN))
    assert made is not None
    assert made == CronDataIntervalTimetable("0 7 * * *", BERLIN)
    assert made != CronDataIntervalTimetable("0 7 * * *", "UTC")
