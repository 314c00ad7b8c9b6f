"""The report that the verdict writes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.errors import ResourceError
from airflow_lib.report.facts import ReportFacts, Verdict
from airflow_lib.report.render import render_report
from operators import plan_and_verdict
from operators import report as module
from operators.plan_and_verdict import VerdictOperator
from operators.report import collect_tasks
from tests.unit.operators.context import PIPELINE, Task

TIMES = {
    "began": "2026-11-21T11:00:00+00:00",
    "ended": "2026-11-21T11:01:00+00:00",
    "waited_s": 5,
    "tries": 2,
}
GREEN = {"plan": "success", "load.a": "success", "verdict": "running"}
RED = {"plan": "success", "load.a": "failed", "verify.b": "upstream_failed", "verdict": "running"}
CAUSE = {"load.a": {"at": "2026-11-21T11:01:00+00:00", "message": "no rows"}}
IDLE = {"plan": "success", "provision.preflight": "success", "load.a": "skipped", "verdict": "running"}
TOLD = {"provision.preflight": {"nothing_to_do": "the warehouse holds it"}}
UPSTREAM = {"plan": frozenset[str](), "load.a": frozenset({"plan"}), "verdict": frozenset({"load.a"})}


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, opened: list[Any]) -> list[ReportFacts]:
    """What reports were made of."""
    reports: list[ReportFacts] = []

    def store(run: Any, facts: ReportFacts) -> str:
        reports.append(facts)
        return f"s3://bucket/logs/{run.run_id}"

    monkeypatch.setattr(module, "store_report", store)
    monkeypatch.setattr(plan_and_verdict, "tell", lambda *_: None)
    return reports


def judge(context: dict[str, Any], states: dict[str, Any], **known: Any) -> Any:
    context["ti"] = Task(states, **known)
    return VerdictOperator(task_id="verdict", pipeline=PIPELINE).execute(context)


def test_a_green_run_has_a_report_and_the_verdict_names_it(
    stored: list[ReportFacts], context: dict[str, Any]
) -> None:
    result = judge(context, GREEN, results={"load.a": {"rows": 3}}, times={"load.a": TIMES})
    assert result == {"verdict": "green", "report": "s3://bucket/logs/run1"}
    (facts,) = stored
    assert (facts.verdict, facts.pipeline, facts.deployment) == (Verdict.GREEN, "immigration", "dev")
    assert (facts.run_id, facts.window, facts.region) == ("run1", "2016-04-01 to 2016-05-01", "us-east-1")
    loaded = facts.task("load.a")
    assert loaded is not None
    assert (loaded.result, loaded.waited_s, loaded.tries) == ({"rows": 3}, 5.0, 2)
    assert "Green" in render_report(facts)


def test_an_idle_run_has_a_report_that_says_why(stored: list[ReportFacts], context: dict[str, Any]) -> None:
    judge(context, IDLE, results=TOLD)
    (facts,) = stored
    assert (facts.verdict, facts.message) == (Verdict.IDLE, "the warehouse holds it")


def test_a_red_run_has_a_report_with_the_causes_and_stays_red(
    stored: list[ReportFacts], context: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException, match=r"failed first in load\.a: no rows"):
        judge(context, RED, failures=CAUSE)
    (facts,) = stored
    assert facts.verdict is Verdict.RED
    assert "failed first in load.a: no rows" in facts.message
    failed, never = facts.task("load.a"), facts.task("verify.b")
    assert failed is not None
    assert never is not None
    assert (failed.cause, failed.began, never.state) == ("no rows", None, "upstream_failed")


@pytest.mark.parametrize("error", [ResourceError("S3 refuses"), KeyError("a bug")])
def test_a_report_that_cannot_be_written_changes_no_verdict(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "store_report", refuse)
    monkeypatch.setattr(plan_and_verdict, "tell", lambda *_: None)
    assert judge(context, GREEN) == {"verdict": "green"}
    with pytest.raises(AirflowFailException, match=r"failed first in load\.a"):
        judge(context, RED, failures=CAUSE)


def test_people_are_notified_before_the_report_is_written(
    stored: list[ReportFacts], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(plan_and_verdict, "tell", lambda *_: written.append(len(stored)))
    with pytest.raises(AirflowFailException):
        judge(context, RED, failures=CAUSE)
    assert written == [0]


def test_tasks_come_in_the_dags_order_and_those_it_no_longer_has_last() -> None:
    states = {"gone": "success", "load.a": "success", "plan": "success", "verdict": "running"}
    tasks = collect_tasks(Task(states), UPSTREAM, Verdict.GREEN)
    assert [task.id for task in tasks] == ["plan", "load.a", "verdict", "gone"]
    assert [task.upstream for task in tasks][1] == {"plan"}
    verdict = tasks[2]
    assert (verdict.state, verdict.began) == ("success", Task.start_date)


def test_what_cannot_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(Task, "xcom_pull", refuse)
    _, loaded, _ = collect_tasks(Task({"load.a": "failed"}), UPSTREAM, Verdict.RED)
    assert (loaded.state, loaded.result, loaded.cause) == ("failed", None, "")


def test_what_is_masked_in_logs_is_masked_in_the_report(
    stored: list[ReportFacts], context: dict[str, Any]
) -> None:
    from airflow.sdk.log import mask_secret

    mask_secret("a-secret-of-this-test")
    failures = {"load.a": {**CAUSE["load.a"], "message": "refused: a-secret-of-this-test"}}
    results = {
        "plan": {
            "lines": ["by a-secret-of-this-test"],
            "checks": [{"samples": [{"x": "a-secret-of-this-test"}]}],
        }
    }
    with pytest.raises(AirflowFailException):
        judge(context, RED, failures=failures, results=results)
    (facts,) = stored
    assert "refused: ***" in facts.message
    assert "a-secret-of-this-test" not in repr(facts)


def test_the_edges_are_those_of_the_dag() -> None:
    tasks = [
        SimpleNamespace(task_id="a", upstream_task_ids=set()),
        SimpleNamespace(task_id="b", upstream_task_ids={"a"}),
    ]
    operator = SimpleNamespace(get_dag=lambda: SimpleNamespace(topological_sort=lambda: tasks))
    assert module._read_upstream(operator) == {"a": frozenset(), "b": {"a"}}
