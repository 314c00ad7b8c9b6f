"""`run --html`: the page, made of what Airflow's REST API tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.report.facts import Verdict
from sandbox.airflow.client import TaskRun
from sandbox.html_report import HtmlReport
from sandbox.report import RunFacts

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
END = BEGIN + timedelta(seconds=30)


class Airflow:
    """What Airflow keeps of the run."""

    def upstream(self, dag_id: str) -> dict[str, frozenset[str]]:
        return {"plan": frozenset(), "load.a": frozenset({"plan"}), "verify.b": frozenset({"load.a"})}

    def xcom(self, dag_id: str, run_id: str, task: TaskRun, key: str) -> Any:
        kept = {"times": {"waited_s": 20}, "failure": {"message": "no rows"}}
        return kept.get(key) if task.task_id == "load.a" else None


TASKS = (
    TaskRun("plan", "success", BEGIN, BEGIN, 1),
    TaskRun("load.a", "success", BEGIN, END, 2),
    TaskRun("verify.b", "skipped", None, None, 0),
)
FACTS = RunFacts("success", 30.0, TASKS, {"load.a": {"tables": {"t": {"total": 3}}}})
PAGE = HtmlReport(Airflow(), "weather", "run1", "2016-04-01 to 2016-04-02")  # type: ignore[arg-type]


def test_the_page_has_airflows_times_and_edges() -> None:
    facts = PAGE.collect(FACTS)
    assert (facts.pipeline, facts.run_id, facts.verdict) == ("weather", "run1", Verdict.GREEN)
    _, loaded, skipped = facts.tasks
    assert (loaded.began, loaded.ended, loaded.waited_s, loaded.tries) == (BEGIN, END, 20.0, 2)
    assert (loaded.upstream, loaded.cause, skipped.began) == ({"plan"}, "", None)


def test_a_failed_run_tells_its_causes() -> None:
    failed = replace(FACTS, state="failed", tasks=(TASKS[0], replace(TASKS[1], state="failed")))
    facts = PAGE.collect(failed)
    assert facts.verdict is Verdict.RED
    assert facts.tasks[1].cause == "no rows"


def test_a_run_that_left_something_is_red_whatever_airflow_says() -> None:
    facts = PAGE.collect(replace(FACTS, leftovers=[{"kind": "IAM role", "name": "r", "state": "exists"}]))
    assert (facts.verdict, facts.left) == (Verdict.RED, ("IAM role r exists",))


def test_a_run_that_had_nothing_to_do_is_idle() -> None:
    facts = PAGE.collect(replace(FACTS, results={"provision.preflight": {"nothing_to_do": "loaded"}}))
    assert (facts.verdict, facts.message) == (Verdict.IDLE, "loaded")


@pytest.mark.parametrize("folder", ["", "new/folder"])
def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "report.html"
    PAGE.write(FACTS, path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
