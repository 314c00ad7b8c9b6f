"""The operators at a run's end: they check where the run took its leases, and whether further runs are to come."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import timezone
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.steps import Run
from airflow_lib.steps.leases import check_register_location
from operators.airflow_run import nominal_window_of
from operators.step import StepOperator

log = logging.getLogger(__name__)

_BACKFILL, _SCHEDULED = "backfill", "scheduled"  # of airflow.sdk's DagRunType, which is no public name
_ACTIVE_RUNS = ["queued", "running"]
# None is the state of a task that Airflow has not scheduled yet.
_UNFINISHED = frozenset(
    {
        None,
        "scheduled",
        "queued",
        "running",
        "deferred",
        "restarting",
        "up_for_retry",
        "up_for_reschedule",
    }
)


class ClosingOperator(StepOperator):
    """Begins a step at the run's end, after checking that register and region are those where its leases are."""

    def open_run(self, context: Any) -> Run:
        run = super().open_run(context)
        lease = context["ti"].xcom_pull(task_ids="provision.lease")
        lease = lease or {}
        check_register_location(
            run, lease.get("location", lease.get("place"))
        )  # "place": of versions before this
        return replace(run, is_under_way=partial(is_under_way, context["ti"]))

    def window_of(self, context: Any) -> Window:
        return nominal_window_of(context, self.pipeline)


class ReleaseOperator(ClosingOperator):
    """Begins a release, whose step is told whether further runs are to come, and whether this one came through."""

    def open_run(self, context: Any) -> Run:
        ti, dag_run = context["ti"], context["dag_run"]
        run, before = super().open_run(context), self.get_flat_relative_ids(upstream=True)
        due_by = datetime.now(UTC) + timedelta(seconds=run.settings.mayfly.keep_alive_s)
        return replace(
            run,
            expects_more=expects_more(ti) or next_is_due(ti, dag_run, self.pipeline, due_by),
            succeeded=has_succeeded(ti, before),
            is_backfill=dag_run.run_type == _BACKFILL,
        )


def has_succeeded(ti: Any, task_ids: Collection[str]) -> bool:
    """Whether all these tasks of the run have succeeded; where Airflow cannot be asked the answer is no."""
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    except Exception as error:  # noqa: BLE001  see the docstring
        log.warning("Airflow cannot be asked how this run's tasks ended: %s", error)
        return False
    return all(states.get(task_id) == "success" for task_id in task_ids)


def is_under_way(ti: Any, run_id: str) -> bool:
    """Whether Airflow says that another run of the DAG is running; where it cannot be asked the answer is no.

    Not where that one is queued: what was cleared in a backfill that is cancelled stays so for ever.
    """
    try:
        return bool(ti.get_dr_count(dag_id=ti.dag_id, run_ids=[run_id], states=["running"]))
    except Exception as error:  # noqa: BLE001  see the docstring
        log.warning("Airflow cannot be asked whether run %s is running, no is assumed: %s", run_id, error)
        return False


def expects_more(ti: Any) -> bool:
    """Whether further runs of the DAG are queued or running and have not finished this task yet.

    A run that has finished it needs the cluster no more, though it is still running. A run whose backfill was
    cancelled before it started has failed, and its task keeps the state None for ever. Where Airflow cannot be
    asked the answer is no: then the last run tears down.
    """
    try:
        states_of = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id])
        unfinished = [
            run
            for run, states in states_of.items()
            if run != ti.run_id and states.get(ti.task_id) in _UNFINISHED
        ]
        return bool(unfinished and ti.get_dr_count(dag_id=ti.dag_id, run_ids=unfinished, states=_ACTIVE_RUNS))
    except Exception as error:  # noqa: BLE001  see the docstring
        log.warning("Airflow cannot be asked for further runs, none is assumed: %s", error)
        return False


def next_is_due(ti: Any, dag_run: Any, pipeline: Pipeline, due_by: datetime) -> bool:
    """Whether the scheduled run that follows this scheduled one is due by then, and Airflow has not made it yet.

    Airflow makes a run of a schedule only when it is due and `max_active_runs` has room: of days that are caught up it
    knows the next one only once this one is over. Where Airflow cannot be asked the answer is no.
    """
    if dag_run.run_type != _SCHEDULED or pipeline.schedule is None or dag_run.data_interval_end is None:
        return False
    try:
        interval = DataInterval(
            timezone.coerce_datetime(dag_run.data_interval_start),
            timezone.coerce_datetime(dag_run.data_interval_end),
        )
        start = timezone.coerce_datetime(pipeline.start)
        following = CronDataIntervalTimetable(pipeline.schedule, pipeline.timezone).next_dagrun_info(
            last_automated_data_interval=interval,
            restriction=TimeRestriction(earliest=start, latest=None, catchup=pipeline.catchup),
        )
        if following is None or following.run_after > due_by:
            return False
        return not ti.get_dr_count(dag_id=ti.dag_id, logical_dates=[following.logical_date])
    except Exception as error:  # noqa: BLE001  see the docstring
        log.warning("Airflow cannot be asked for the next scheduled run, none is assumed: %s", error)
        return False
