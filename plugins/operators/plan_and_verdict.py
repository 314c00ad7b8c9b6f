"""The two tasks that are not a step: `plan`, which cannot fail, and `verdict`, which checks all the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.bounded_json import as_text
from airflow_lib.lifecycle.notify import notify
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps import Done, Json
from airflow_lib.steps.plan import describe_plan
from operators.airflow_run import open_run, window_of

log = logging.getLogger(__name__)

# No task of ours skips another: Airflow skips what had not started when a person marked the run (mark_tasks, 3.3).
_RED = frozenset({"failed", "upstream_failed", "skipped"})


def list_failed(states: Mapping[str, str | None]) -> list[str]:
    """The tasks that make a run fail: those that failed, and those that never started."""
    return sorted(task for task, state in states.items() if state in _RED)


class PlanOperator(BaseOperator):
    """Says which clusters the run will create, and how big they are. Touches nothing and always succeeds.

    It is a setup of every teardown, and Airflow runs a teardown only where one of its setups succeeded: so an
    error is only reported here. `provision.preflight` is the task that fails with it.
    """

    custom_operator_name = "Plan"  # see StepOperator

    def __init__(self, *, pipeline: Pipeline, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Any) -> Json:
        try:
            plan = describe_plan(
                open_run(self.pipeline, context["run_id"], window_of(context, self.pipeline))
            )
        except Exception as error:  # noqa: BLE001  see the docstring
            problem = as_text(str(error))
            log.warning("the plan cannot be described: %s", problem)
            return {"problem": problem}
        for line in plan["lines"]:
            log.info("%s", line)
        return Done(plan).result  # as JSON that Airflow stores, whatever the register and AWS answered


class VerdictOperator(BaseOperator):
    """Fails where any task of the run failed or was skipped, so that the run fails, and notifies."""

    custom_operator_name = "Verdict"  # see StepOperator

    def __init__(self, *, pipeline: Pipeline, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Any) -> Json:
        ti, run_id = context["ti"], context["run_id"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id]).get(run_id, {})
        failed = list_failed({task: state for task, state in states.items() if task != self.task_id})
        if not failed:
            return {"verdict": "green"}
        message = (
            f"Run {run_id} of {ti.dag_id} failed in: {', '.join(failed)}. "
            "Read the logs of these tasks, correct the cause and clear them."
        )
        self._notify(context, message)
        raise AirflowFailException(message)

    def _notify(self, context: Any, message: str) -> None:
        """Send `message`; where that fails, only log it: the error must not hide the verdict."""
        try:
            notify(
                open_run(self.pipeline, context["run_id"], window_of(context, self.pipeline)).holder, message
            )
        except Exception:
            log.exception("the notification could not be sent")
