"""The run's report, which the verdict writes when it is known: what every task left is gathered, and goes to S3."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.log import redact  # type: ignore[attr-defined]  # what masks secrets in logs; there is no other way to it

from airflow_lib.pipeline import Pipeline
from airflow_lib.report.facts import ReportFacts, TaskFacts, Verdict
from airflow_lib.steps import Json
from airflow_lib.steps.report import store_report
from operators.airflow_run import nominal_window_of, open_run
from operators.failures import read_failures
from operators.step import NOTHING_TO_DO
from operators.times import now, read_times

log = logging.getLogger(__name__)

_RAN = frozenset({"success", "failed"})  # only such a task has left anything

Execute = Callable[[Any, Any], Json]


def with_report(execute: Execute) -> Execute:
    """The verdict's `execute`, which also writes the run's report, whatever the verdict.

    A report that cannot be written is only logged: the verdict, its error and the notification are the same.
    The result names the report, where there is one.
    """

    @wraps(execute)
    def judge(self: Any, context: Any) -> Json:
        try:
            result = execute(self, context)
        except AirflowException as error:
            _write(self, context, Verdict.RED, str(error))
            raise
        why = str(result.get(NOTHING_TO_DO) or "")
        uri = _write(self, context, Verdict.IDLE if why else Verdict.GREEN, why)
        return {**result, "report": uri} if uri else result

    return judge


def _write(operator: Any, context: Any, verdict: Verdict, message: str) -> str:
    """The report's URI; empty where it could not be written."""
    try:
        pipeline: Pipeline = operator.pipeline
        run = open_run(pipeline, context["run_id"], nominal_window_of(context, pipeline))
        facts = ReportFacts(
            pipeline=pipeline.name,
            deployment=run.settings.mayfly.deployment,
            run_id=run.run_id,
            window=str(run.window),
            region=run.settings.region,
            verdict=verdict,
            at=now(),
            message=_mask(message),
            tasks=collect_tasks(context["ti"], _read_upstream(operator), verdict),
        )
        return store_report(run, facts)
    except Exception:
        log.exception("the run's report could not be written; the verdict is the same without it")
        return ""


def _read_upstream(operator: Any) -> dict[str, frozenset[str]]:
    """Which tasks each task of the DAG waits for, in the DAG's order."""
    dag = operator.get_dag()
    tasks = dag.topological_sort() if dag is not None else [operator]
    return {task.task_id: frozenset(task.upstream_task_ids) for task in tasks}


def collect_tasks(ti: Any, upstream: Mapping[str, frozenset[str]], verdict: Verdict) -> tuple[TaskFacts, ...]:
    """What is known of each task of the run. The task that asks is the verdict: it ends as it says, and now."""
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    return tuple(
        _verdict(ti, upstream.get(task, frozenset()), verdict)
        if task == ti.task_id
        else _collect(ti, task, states.get(task), upstream.get(task, frozenset()))
        for task in dict.fromkeys([*upstream, *sorted(states)])
    )


def _collect(ti: Any, task: str, state: str | None, upstream: frozenset[str]) -> TaskFacts:
    if state not in _RAN:
        return TaskFacts(task, state, upstream)
    times = read_times(ti, task)
    causes = [one.cause for one in read_failures(ti, [task])] if state == "failed" else []
    return TaskFacts(
        task,
        state,
        upstream,
        began=times.began if times else None,
        ended=times.ended if times else None,
        waited_s=times.waited_s if times else None,
        tries=times.tries if times else 1,
        result=_read_result(ti, task),
        cause=_mask(causes[0]) if causes else "",
    )


def _verdict(ti: Any, upstream: frozenset[str], verdict: Verdict) -> TaskFacts:
    state = "failed" if verdict is Verdict.RED else "success"
    return TaskFacts(ti.task_id, state, upstream, began=ti.start_date, ended=now(), waited_s=0.0)


def _mask(value: Any) -> Any:
    """The value with asterisks where it holds what is masked in logs, as an error might that quotes a request."""
    return redact(value)


def _read_result(ti: Any, task: str) -> Any:
    try:
        return _mask(ti.xcom_pull(task_ids=task, key=BaseXCom.XCOM_RETURN_KEY))
    except Exception as error:  # noqa: BLE001  the report is written with what can be read
        log.warning("what %s returned cannot be read: %s", task, error)
        return None
