"""The two tasks that are not a step: `plan`, which cannot fail, and `verdict`, which checks all the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.bounded_json import as_text
from airflow_lib.describe import PLAN, VERDICT
from airflow_lib.lifecycle.notify import Notice
from airflow_lib.lifecycle.readiness import note_ready
from airflow_lib.pipeline import Pipeline
from airflow_lib.settings import Occasion
from airflow_lib.steps import Done, Json
from airflow_lib.steps.plan import describe_plan
from operators.airflow_run import is_forced, nominal_window_of, open_run, window_of
from operators.failures import format_verdict, read_failures
from operators.notifiers import tell
from operators.report import with_report
from operators.step import NOTHING_TO_DO
from operators.task_links import TaskLinks
from operators.times import with_times

log = logging.getLogger(__name__)

# Where the run had work, no task of ours skips another: Airflow skips what had not started when a person marked the run
# (mark_tasks, 3.3).
_NEVER_STARTED = frozenset({"upstream_failed", "skipped"})
_PREFLIGHT = "provision.preflight"
_RED = _NEVER_STARTED | {"failed"}
# Where one of these failed, something may be left over.
_CLOSING = frozenset({"transform.release_emr", "release.release_warehouse", "release.inventory"})
_CHECKED = ("verify.", "answers.")
_MAX_WARNINGS = 50


def list_failed(states: Mapping[str, str | None], *, idle: bool = False) -> list[str]:
    """The tasks that make a run fail: those that failed, and those that never started.

    `idle`: the preflight has found nothing to do, and skipped them.
    """
    red = _RED - {"skipped"} if idle else _RED
    return [task for task, state in states.items() if state in red]


def _read_nothing_to_do(ti: Any) -> str:
    """Why the run had nothing to do, as its preflight found; empty where it had, or that cannot be read."""
    try:
        told = ti.xcom_pull(task_ids=_PREFLIGHT, key=BaseXCom.XCOM_RETURN_KEY)
    except Exception as error:  # noqa: BLE001  then what was skipped is red, which somebody looks at
        log.warning("what the preflight found cannot be read: %s", error)
        return ""
    why = told.get(NOTHING_TO_DO) if isinstance(told, Mapping) else None
    return as_text(why) if isinstance(why, str) else ""


def _list_warnings(ti: Any, states: Mapping[str, str | None]) -> list[str]:
    """What the checks that only warn have found, one line each; what cannot be read is only logged."""
    warnings = []
    for task in sorted(states):
        if not task.startswith(_CHECKED) or states[task] not in {"success", "failed"}:
            continue
        try:
            result = ti.xcom_pull(task_ids=task, key=BaseXCom.XCOM_RETURN_KEY)
            warnings += [
                as_text(f"{task}: check {check['name']}: {check['failing_rows']} rows")
                for check in (result or {}).get("checks", ())
                if check["severity"] == "warn" and not check["passed"]
            ]
        except Exception as error:  # noqa: BLE001  a warning must not fail the verdict
            log.warning("what %s has found cannot be read: %s", task, error)
    return warnings[:_MAX_WARNINGS]


class PlanOperator(BaseOperator):
    """Says which clusters the run will create, and how big they are. Touches nothing and always succeeds.

    It is a setup of every teardown, and Airflow runs a teardown only where one of its setups succeeded: so an
    error is only reported here. `provision.preflight` is the task that fails with it.
    """

    custom_operator_name = "Plan"  # see StepOperator

    def __init__(self, *, pipeline: Pipeline, **kwargs: Any) -> None:
        super().__init__(**{"doc_md": PLAN, **kwargs})
        self.pipeline = pipeline
        self.operator_extra_links = TaskLinks(pipeline.name).all

    @with_times
    def execute(self, context: Any) -> Json:
        try:
            run = open_run(self.pipeline, context["run_id"], window_of(context, self.pipeline))
            plan = describe_plan(replace(run, force=is_forced(context)))
        except Exception as error:  # noqa: BLE001  see the docstring
            problem = as_text(str(error))
            log.warning("the plan cannot be described: %s", problem)
            return {"problem": problem}
        for line in plan["lines"]:
            log.info("%s", line)
        return Done(plan).result  # as JSON that Airflow stores, whatever the register and AWS answered


class VerdictOperator(BaseOperator):
    """Fails where any task of the run failed or never started, so that the run fails, and notifies.

    In a run that had nothing to do, those that were skipped for that are right.
    It names the task that failed first, with its cause: what failed after it is mostly a consequence.
    """

    custom_operator_name = "Verdict"  # see StepOperator

    def __init__(self, *, pipeline: Pipeline, **kwargs: Any) -> None:
        super().__init__(**{"doc_md": VERDICT, **kwargs})
        self.pipeline = pipeline
        self.operator_extra_links = TaskLinks(pipeline.name).all

    @with_report
    def execute(self, context: Any) -> Json:
        ti, run_id = context["ti"], context["run_id"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id]).get(run_id, {})
        why = _read_nothing_to_do(ti) if states.get(_PREFLIGHT) == "success" else ""
        red = list_failed({task: states[task] for task in self._in_order(states)}, idle=bool(why))
        if not red:
            self._note_ready(context)
        if not red and why:
            log.info("nothing to do: %s", why)
            return {"verdict": "green", NOTHING_TO_DO: why}
        run = f"Run {run_id} of {ti.dag_id}"
        warnings = _list_warnings(ti, states)
        if warnings:
            told = "\n".join(f"- {warning}" for warning in warnings)
            self._notify(context, Notice(f"{run}: checks warn of\n{told}", frozenset({"warnings"})))
        if not red:
            return {"verdict": "green", **({"warnings": warnings} if warnings else {})}
        failed = [task for task in red if states[task] == "failed"]
        not_started = [task for task in red if states[task] in _NEVER_STARTED]
        message = format_verdict(run, read_failures(ti, failed), not_started)
        about: set[Occasion] = {"red"} if _CLOSING.isdisjoint(red) else {"red", "leftovers"}
        self._notify(context, Notice(message, frozenset(about)))
        raise AirflowFailException(message)

    def _in_order(self, states: Mapping[str, str | None]) -> list[str]:
        """The run's other tasks, each after those that it waits for; a task the DAG no longer has comes last."""
        dag = self.get_dag()
        order = [task.task_id for task in dag.topological_sort()] if dag is not None else []  # type: ignore[no-untyped-call]
        known = dict.fromkeys([*order, *sorted(states)])
        return [task for task in known if task in states and task != self.task_id]

    def _note_ready(self, context: Any) -> None:
        """Write down that the window is loaded, for the janitor; where that fails, people may be told it is late."""
        try:
            run = open_run(self.pipeline, context["run_id"], window_of(context, self.pipeline))
            if self.pipeline.name in run.settings.ready_by:
                note_ready(run.holder, run.window)
        except Exception:
            log.exception("that the window is ready could not be written down")

    def _notify(self, context: Any, notice: Notice) -> None:
        """Send the notice; where that fails, only log it: the error must not hide the verdict."""
        try:
            window = nominal_window_of(context, self.pipeline)
            tell(context, open_run(self.pipeline, context["run_id"], window).holder, notice)
        except Exception:
            log.exception("the notification could not be sent")
