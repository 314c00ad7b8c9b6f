"""A pipeline's schedule as Airflow's timetable, and what is wrong with it.

A run's data interval is its window (`operators.airflow_run.window_of`), so the timetable is the one that has intervals:
a bare cron expression would give Airflow 3 a timetable whose intervals are empty.
"""

from __future__ import annotations

from collections.abc import Iterator

from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import CronDataIntervalTimetable, timezone
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable as Scheduler

from airflow_lib.pipeline import Pipeline, WindowUnit

_ZONE = "UTC"
_EVER = TimeRestriction(earliest=None, latest=None, catchup=True)


def make_timetable(pipeline: Pipeline) -> CronDataIntervalTimetable | None:
    """The timetable of `pipeline`; None where its runs are only triggered."""
    return None if pipeline.schedule is None else CronDataIntervalTimetable(pipeline.schedule, _ZONE)


def schedule_mistakes(pipeline: Pipeline) -> Iterator[str]:
    """Why Airflow would not run this schedule, or would run it to load nothing."""
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
    within = [one for one in intervals if one.start.date() == one.end.date()]
    if pipeline.window_unit is WindowUnit.DAY and within:
        yield (
            f"schedule {pipeline.schedule!r} runs more than once on one day (as from {within[0].start} to "
            f"{within[0].end}), but the windows are whole days: run at most once a day, or declare "
            "window_unit=WindowUnit.INSTANT"
        )


def _two_intervals(pipeline: Pipeline) -> tuple[DataInterval, DataInterval]:
    """Two data intervals in a row, around the pipeline's start.

    A cron expression has the same times on each of its days. So where it has more than one, of any two intervals in a
    row one at least begins and ends on the same day.
    Raises AirflowTimetableInvalid or ValueError where the expression is none, or never comes.
    """
    timetable = Scheduler(pipeline.schedule or "", _ZONE)
    timetable.validate()
    first = timetable.infer_manual_data_interval(run_after=timezone.coerce_datetime(pipeline.start))
    following = timetable.next_dagrun_info(last_automated_data_interval=first, restriction=_EVER)
    if following is None or following.data_interval is None:
        raise ValueError("it has no second run")
    return first, following.data_interval
