"""The plan, which cannot fail, and the verdict, which fails where anything did."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import RegisterError, SettingsError
from airflow_lib.pipeline import UNKNOWN_ZONE, Pipeline
from airflow_lib.polling import SystemClock
from airflow_lib.settings import parse_settings
from airflow_lib.steps import Run, Services
from operators import plan_and_verdict as module
from operators.plan_and_verdict import PlanOperator, VerdictOperator
from tests.unit.operators.context import PIPELINE, VARIABLES, Task

SERVICES = Services(aws=Aws(None), clock=SystemClock(), find_livy=None, open_livy=None)  # type: ignore[arg-type]


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people were notified of."""
    messages: list[str] = []
    monkeypatch.setattr(module, "tell", lambda context, holder, notice: messages.append(notice.message))
    return messages


def judge(
    context: dict[str, Any],
    states: dict[str, str | None],
    failures: dict[str, Any] | None = None,
    pipeline: Pipeline = PIPELINE,
    results: dict[str, Any] | None = None,
) -> Any:
    context["ti"] = Task(states, failures, results)
    return VerdictOperator(task_id="verdict", pipeline=pipeline).execute(context)


def test_the_plan_is_returned(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "describe_plan", lambda run: {"lines": [f"creates for {run.run_id}"]})
    plan = PlanOperator(task_id="plan", pipeline=PIPELINE).execute(context)
    assert plan == {"lines": ["creates for run1"]}


@pytest.mark.parametrize("error", [SettingsError("mayfly: the Variable is missing"), KeyError("a bug")])
def test_the_plan_never_fails_whatever_is_wrong(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "describe_plan", refuse)
    assert PlanOperator(task_id="plan", pipeline=PIPELINE).execute(context) == {"problem": str(error)}


def test_the_plan_never_fails_for_a_window_that_is_wrong(context: dict[str, Any]) -> None:
    context["params"] = {"window_start": "2016-04-01", "window_end": None}
    plan = PlanOperator(task_id="plan", pipeline=PIPELINE).execute(context)
    assert "window_end" in plan["problem"]


def test_a_run_in_which_nothing_failed_succeeds_and_notifies_nobody(
    opened: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    states = {"plan": "success", "load.a": "success", "verify.b": "success", "verdict": "running"}
    assert judge(context, states) == {"verdict": "green"}
    assert notified == []


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped"])
def test_a_run_in_which_a_task_failed_or_never_started_fails_and_notifies(
    opened: list[Any], notified: list[str], context: dict[str, Any], state: str
) -> None:
    with pytest.raises(AirflowFailException, match=r"Run run1 of immigration failed.*load\.a") as caught:
        judge(context, {"plan": "success", "load.a": state, "verdict": "running"})
    assert notified == [str(caught.value)]


def test_a_cleared_verdict_does_not_count_its_own_failure(
    opened: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    assert judge(context, {"plan": "success", "verdict": "failed"}) == {"verdict": "green"}


def test_a_notification_that_cannot_be_sent_does_not_hide_the_verdict(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SettingsError("no topic")

    monkeypatch.setattr(module, "tell", refuse)
    with pytest.raises(AirflowFailException, match=r"failed first in load\.a"):
        judge(context, {"load.a": "failed"})


def test_whoever_does_not_know_the_zone_of_the_days_notifies_all_the_same(
    opened: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    start, end = (datetime(2016, 4, 1, hour, tzinfo=UTC) for hour in (1, 23))
    context["params"] = {}
    context["dag_run"] = SimpleNamespace(data_interval_start=start, data_interval_end=end)
    with pytest.raises(AirflowFailException):
        judge(context, {"load.a": "failed"}, pipeline=replace(PIPELINE, timezone=UNKNOWN_ZONE))
    assert len(notified) == 1


@pytest.mark.parametrize(
    "described",
    [
        ValueError("\ud800\x00"),
        RegisterError("\ud800\x00"),
        {"lines": ["creates mayfly\x00"], "complete": [float("nan")]},
    ],
    ids=["an error", "an error of ours", "a plan"],
)
def test_whatever_the_plan_says_its_xcom_is_stored_or_no_teardown_would_run(
    context: dict[str, Any], opened: list[Any], monkeypatch: pytest.MonkeyPatch, described: Any
) -> None:
    """What it says comes from the register and from AWS; PostgreSQL takes no NUL, and msgpack no lone surrogate."""

    def describe(_: Any) -> Any:
        if isinstance(described, Exception):
            raise described
        return described

    monkeypatch.setattr(module, "describe_plan", describe)
    result = PlanOperator(task_id="plan", pipeline=PIPELINE).execute(context)
    text = json.dumps(result, allow_nan=False, ensure_ascii=False)
    assert text.encode()
    assert "\\u0000" not in text
    assert "\ufffd" in text


IDLE = {
    "plan": "success",
    "provision.preflight": "success",
    "provision.lease": "skipped",
    "load.a": "skipped",
    "verdict": "running",
}
TOLD = {"provision.preflight": {"nothing_to_do": "the warehouse holds it"}}


def test_a_run_that_had_nothing_to_do_is_green_and_says_so(
    opened: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    assert judge(context, IDLE, results=TOLD) == {
        "verdict": "green",
        "nothing_to_do": "the warehouse holds it",
    }
    assert notified == []


@pytest.mark.parametrize(
    "results", [None, {"provision.preflight": None}, {"provision.preflight": {"nothing_to_do": 1}}]
)
def test_skipped_tasks_are_red_where_the_preflight_did_not_find_that(
    opened: list[Any], notified: list[str], context: dict[str, Any], results: dict[str, Any] | None
) -> None:
    """As where a person marked the run."""
    with pytest.raises(AirflowFailException, match=r"provision\.lease"):
        judge(context, IDLE, results=results)


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_what_failed_in_a_run_that_had_nothing_to_do_is_red(
    opened: list[Any], notified: list[str], context: dict[str, Any], state: str
) -> None:
    """A release that could not remove what a dead run left."""
    with pytest.raises(AirflowFailException, match=r"transform\.release_emr"):
        judge(context, {**IDLE, "transform.release_emr": state}, results=TOLD)


def test_a_preflight_that_failed_since_does_not_excuse_what_was_skipped(
    opened: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException):
        judge(context, {**IDLE, "provision.preflight": "failed"}, results=TOLD)


def test_what_the_preflight_found_that_cannot_be_read_excuses_nothing(
    opened: list[Any], notified: list[str], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(Task, "xcom_pull", refuse)
    with pytest.raises(AirflowFailException):
        judge(context, IDLE, results=TOLD)


@pytest.mark.parametrize("forced", [False, True])
def test_the_plan_is_told_whether_the_run_is_forced(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, forced: bool
) -> None:
    monkeypatch.setattr(module, "describe_plan", lambda run: {"lines": [f"force: {run.force}"]})
    context["params"] = {**context["params"], "force": forced}
    plan = PlanOperator(task_id="plan", pipeline=PIPELINE).execute(context)
    assert plan == {"lines": [f"force: {forced}"]}


def checks(*found: tuple[str, str, bool]) -> dict[str, Any]:
    return {
        "checks": [
            {"name": name, "severity": severity, "passed": passed, "failing_rows": 0 if passed else 3}
            for name, severity, passed in found
        ]
    }


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """What people were notified of, and what that was about."""
    sent: list[tuple[str, set[str]]] = []
    monkeypatch.setattr(
        module, "tell", lambda context, holder, notice: sent.append((notice.message, set(notice.about)))
    )
    return sent


def test_what_checks_warn_of_is_told_of_a_green_run_and_is_its_result(
    opened: list[Any], notices: list[Any], context: dict[str, Any]
) -> None:
    results = {
        "verify.a": checks(("sane", "warn", False), ("unique", "error", True)),
        "answers.b": checks(("fresh", "warn", True)),
        "load.load_window": checks(("sane", "warn", False)),  # those of the load are told by verify.a
    }
    warnings = ["verify.a: check sane: 3 rows"]
    verdict = judge(context, dict.fromkeys(results, "success"), results=results)
    assert verdict == {"verdict": "green", "warnings": warnings}
    assert notices == [
        ("Run run1 of immigration: checks warn of\n- verify.a: check sane: 3 rows", {"warnings"})
    ]


def test_what_checks_warn_of_is_told_of_a_red_run_too(
    opened: list[Any], notices: list[Any], context: dict[str, Any]
) -> None:
    results = {"verify.a": checks(("sane", "warn", False))}
    with pytest.raises(AirflowFailException):
        judge(context, {"verify.a": "failed"}, results=results)
    assert [about for _, about in notices] == [{"warnings"}, {"red"}]


@pytest.mark.parametrize(
    "result", [None, "text", {"checks": None}, {"checks": [None]}, {"checks": [{"severity": "warn"}]}]
)
def test_a_result_that_is_not_a_checks_does_not_fail_the_verdict(
    opened: list[Any], notices: list[Any], context: dict[str, Any], result: Any
) -> None:
    assert judge(context, {"verify.a": "success"}, results={"verify.a": result}) == {"verdict": "green"}
    assert notices == []


def test_what_a_task_found_before_it_was_cleared_and_skipped_is_not_told(
    opened: list[Any], notices: list[Any], context: dict[str, Any]
) -> None:
    results = {**TOLD, "verify.a": checks(("sane", "warn", False))}
    assert "warnings" not in judge(context, {**IDLE, "verify.a": "skipped"}, results=results)
    assert notices == []


@pytest.mark.parametrize(
    ("failed", "about"),
    [
        ("load.a", {"red"}),
        ("release.inventory", {"red", "leftovers"}),
        ("release.release_warehouse", {"red", "leftovers"}),
        ("transform.release_emr", {"red", "leftovers"}),
    ],
)
def test_a_run_that_may_have_left_something_is_about_leftovers_too(
    opened: list[Any], notices: list[Any], context: dict[str, Any], failed: str, about: set[str]
) -> None:
    with pytest.raises(AirflowFailException):
        judge(context, {failed: "failed"})
    assert [found for _, found in notices] == [about]


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was written down as loaded, by which run."""
    noted: list[tuple[str, str]] = []
    monkeypatch.setattr(module, "note_ready", lambda holder, window: noted.append((holder.id, str(window))))
    mayfly = json.loads(VARIABLES["mayfly"])
    mayfly["pipelines"] = {"immigration": {"ready_by": "06:00 Europe/Berlin"}}
    settings = parse_settings({**VARIABLES, "mayfly": json.dumps(mayfly)})
    opened = lambda pipeline, run_id, window: Run(pipeline, run_id, window, settings, SERVICES)  # noqa: E731
    monkeypatch.setattr(module, "open_run", opened)
    return noted


@pytest.mark.parametrize(("states", "results"), [({"load.a": "success"}, None), (IDLE, TOLD)])
def test_what_a_green_run_has_loaded_or_found_loaded_is_written_down(
    ready: list[Any], context: dict[str, Any], states: dict[str, str | None], results: dict[str, Any] | None
) -> None:
    judge(context, states, results=results)
    assert ready == [("run1", "2016-04-01 to 2016-05-01")]


def test_of_a_red_run_nothing_is_written_down(
    ready: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException):
        judge(context, {"load.a": "failed"})
    assert ready == []


def test_of_a_pipeline_without_a_time_nothing_is_written_down(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "note_ready", lambda *_: pytest.fail("it has no ready_by"))
    judge(context, {"load.a": "success"})


def test_what_cannot_be_written_down_does_not_turn_a_run_red(
    ready: list[Any],
    context: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: Any) -> None:
        raise RegisterError("S3 refuses")

    monkeypatch.setattr(module, "note_ready", refuse)
    assert judge(context, {"load.a": "success"}) == {"verdict": "green"}
    assert "S3 refuses" in caplog.text
