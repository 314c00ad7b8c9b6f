"""The operators at a run's end: where to look, and whether further runs will want the cluster."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from airflow_lib.steps import Run
from airflow_lib.steps.leases import check_register_location
from operators.step import StepOperator

log = logging.getLogger(__name__)

_RUNS_TO_COME = ["queued", "running"]
# None is the state of a task that Airflow has not looked at yet.
_TRIES_TO_COME = frozenset(
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
    """Begins a step at the run's end, where the run's leases were taken and nowhere else."""

    def open_run(self, context: Any) -> Run:
        run = super().open_run(context)
        lease = context["ti"].xcom_pull(task_ids="provision.lease")
        check_register_location(run, (lease or {}).get("location"))
        return run


class ReleaseOperator(ClosingOperator):
    """Begins a release, knowing of the DAG's other runs."""

    def open_run(self, context: Any) -> Run:
        return replace(super().open_run(context), expects_more=expects_more(context["ti"]))


def expects_more(ti: Any) -> bool:
    """Whether further runs of the DAG are queued or running and have not come to this task yet.

    A run that is past it needs the cluster no more, though it still runs; one whose backfill was cancelled before
    it began is failed, and its task stays unlooked at for ever. What cannot be found out means no: then the last
    run tears down.
    """
    try:
        tries = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id])
        coming = [
            run
            for run, states in tries.items()
            if run != ti.run_id and states.get(ti.task_id) in _TRIES_TO_COME
        ]
        return bool(coming and ti.get_dr_count(dag_id=ti.dag_id, run_ids=coming, states=_RUNS_TO_COME))
    except Exception as error:  # noqa: BLE001  see the docstring
        log.warning("whether further runs come cannot be found out: %s", error)
        return False
