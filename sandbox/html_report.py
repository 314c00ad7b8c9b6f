"""`run --html`: the report that a run writes to S3, made of what Airflow's REST API tells, with Airflow's own times.

The page is the library's, so plugins/ has to be importable where this module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_lib.report.facts import ReportFacts, TaskFacts, Verdict
from airflow_lib.report.render import render_report
from sandbox.account import DEPLOYMENT, REGION
from sandbox.airflow.client import AirflowClient, TaskRun
from sandbox.report import RunFacts, describe, nothing_to_do

_RAN = frozenset({"success", "failed"})


@dataclass(frozen=True)
class HtmlReport:
    """The report of one run of the pipeline `dag_id`."""

    client: AirflowClient
    dag_id: str
    run_id: str
    window: str

    def write(self, facts: RunFacts, path: Path) -> None:
        """Write the page; `facts` are what is known of the run already. Its folder is made where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_report(self.collect(facts)), encoding="utf-8")

    def collect(self, facts: RunFacts) -> ReportFacts:
        """What the page is made of."""
        upstream = self.client.upstream(self.dag_id)
        verdict, message = _judge(facts)
        return ReportFacts(
            pipeline=self.dag_id,
            deployment=DEPLOYMENT,
            run_id=self.run_id,
            window=self.window,
            region=REGION,
            verdict=verdict,
            at=datetime.now(UTC),
            message=message,
            tasks=tuple(
                self._task(task, upstream.get(task.task_id, frozenset()), facts.results.get(task.name))
                for task in facts.tasks
            ),
            left=tuple(describe(item) for item in facts.leftovers),
        )

    def _task(self, task: TaskRun, upstream: frozenset[str], result: Any) -> TaskFacts:
        if task.state not in _RAN:
            return TaskFacts(task.name, task.state, upstream)
        waited = self._kept(task, "times").get("waited_s")
        return TaskFacts(
            task.name,
            task.state,
            upstream,
            began=task.start,
            ended=task.end,
            waited_s=float(waited) if isinstance(waited, int | float) else None,
            tries=max(task.try_number, 1),
            result=result,
            cause=str(self._kept(task, "failure").get("message") or "") if task.state == "failed" else "",
        )

    def _kept(self, task: TaskRun, key: str) -> Mapping[str, Any]:
        kept = self.client.xcom(self.dag_id, self.run_id, task, key)
        return kept if isinstance(kept, Mapping) else {}


def _judge(facts: RunFacts) -> tuple[Verdict, str]:
    """A run that left something behind is red, whatever Airflow says: it may be the inventory that is wrong."""
    if facts.state != "success":
        return Verdict.RED, f"The run is {facts.state}."
    if facts.leftovers:
        return Verdict.RED, "The run succeeded, but the account still holds what should be gone."
    why = nothing_to_do(facts.results)
    return (Verdict.IDLE, why) if why else (Verdict.GREEN, "")
