"""A pipeline's schedule as Airflow's timetable, and what is wrong with it.

A run's data interval is its window (`operators.airflow_run.window_of`), so the timetable is the one that has intervals:
a bare cron expression would give Airflow 3 a timetable whose intervals are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import CronDataIntervalTimetable, timezone
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable as Scheduler
from pendulum import DateTime

from airflow_lib.pipeline import Pipeline, WindowUnit
from airflow_lib.pipeline.window import find_zone

_EVER = TimeRestriction(earliest=None, latest=None, catchup=True)
_EVERY_HOUR = frozenset({"*", "*/1", "0-23"})
_YEARS = (1970, 2100)  # in which clock changes are looked for


def make_timetable(pipeline: Pipeline) -> CronDataIntervalTimetable | None:
    """The timetable of `pipeline`, in its time zone; None where its runs are only triggered."""
    if pipeline.schedule is None:
        return None
    return CronDataIntervalTimetable(pipeline.schedule, pipeline.timezone or "UTC")


def check_cron(schedule: str) -> None:
    """Raise AirflowTimetableInvalid or ValueError where `schedule` is no cron expression."""
    Scheduler(schedule, "UTC").validate()


def schedule_mistakes(pipeline: Pipeline) -> Iterator[str]:
    """Why Airflow would not run this schedule, or would run it to load nothing."""
    try:
        zone = find_zone(pipeline.timezone)
    except ValueError as error:
        yield f"timezone {error}"
        return
    if pipeline.schedule is None:
        return
    try:
        intervals = _two_intervals(pipeline)
    except (AirflowTimetableInvalid, ValueError) as error:  # croniter's own errors are ValueErrors
        yield (
            f"schedule {pipeline.schedule!r}: {error}; give a cron expression, or None for runs that are only "
            "triggered"
        )
        return
    yield from _skipped_times(pipeline, zone)
    bounds = [(one.start.astimezone(zone), one.end.astimezone(zone)) for one in intervals]
    within = [(start, end) for start, end in bounds if start < end and start.date() == end.date()]
    if pipeline.window_unit is WindowUnit.DAY and within:
        start, end = within[0]
        yield (
            f"schedule {pipeline.schedule!r} runs more than once on one day (as from {start} to "
            f"{end}), but the windows are whole days: run at most once a day, or declare "
            "window_unit=WindowUnit.INSTANT"
        )


def _two_intervals(pipeline: Pipeline) -> tuple[DataInterval, DataInterval]:
    """Two data intervals in a row, around the pipeline's start.

    A cron expression has the same times on each of its days. So where it has more than one, of any two intervals in a
    row one at least begins and ends on the same day.
    Raises AirflowTimetableInvalid or ValueError where the expression is none, or never comes.
    """
    timetable = Scheduler(pipeline.schedule or "", pipeline.timezone)
    timetable.validate()
    first = timetable.infer_manual_data_interval(run_after=timezone.coerce_datetime(pipeline.start))
    following = timetable.next_dagrun_info(last_automated_data_interval=first, restriction=_EVER)
    if following is None or following.data_interval is None:
        raise ValueError("it has no second run")
    return first, following.data_interval


def _skipped_times(pipeline: Pipeline, zone: ZoneInfo) -> Iterator[str]:
    """The first of the schedule's times that the zone's clocks skip, when they are put forward.

    Airflow takes the time an hour later instead, and that time's interval for empty: without catchup, it may leave the
    run of the day before out (`CronDataIntervalTimetable._skip_to_latest`, Airflow 3.3), and the day is not loaded. A
    schedule that has every hour does without that reckoning (`_covers_every_hour`).
    """
    wall = Scheduler(
        pipeline.schedule or "", "UTC"
    )  # UTC has every time, so it tells what the expression says
    if wall.summary.split()[1] in _EVERY_HOUR:
        return
    for begin, end in _gaps(zone, pipeline.start):
        from_begin = TimeRestriction(earliest=begin, latest=None, catchup=True)
        info = wall.next_dagrun_info(last_automated_data_interval=None, restriction=from_begin)
        time = end if info is None or info.data_interval is None else info.data_interval.start
        if time < end:
            yield (
                f"schedule {pipeline.schedule!r}: {time:%Y-%m-%d %H:%M} is a time that {pipeline.timezone} does not "
                f"have, for its clocks go from {begin:%H:%M} to {end:%H:%M} that day, and Airflow may leave out a "
                "run; schedule it at a time that each day has"
            )
            return


def _gaps(zone: ZoneInfo, start: datetime) -> Iterator[tuple[DateTime, DateTime]]:
    """Where the zone's clocks are put forward, from the year of `start` to next year: what they go from, and to.

    These are wall times, written as times in UTC.
    """
    first = max(start.year, _YEARS[0])
    last = min(max(first, datetime.now(UTC).year) + 1, _YEARS[1])
    before = datetime(first, 1, 1, tzinfo=UTC)
    while before.year <= last:
        after = before + timedelta(days=1)
        low, high = _offset(zone, before), _offset(zone, after)
        if low < high:
            change = _change(zone, before, after)
            yield timezone.coerce_datetime(change + low), timezone.coerce_datetime(change + high)
        before = after


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second between the two at which the zone's offset changes."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
