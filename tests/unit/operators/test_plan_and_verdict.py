"""The plan, which cannot fail, and the verdict, which fails where anything did."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.errors import RegisterError, SettingsError
from airflow_lib.pipeline import UNKNOWN_ZONE, Pipeline
from operators import plan_and_verdict as module
from operators.plan_and_verdict import PlanOperator, VerdictOperator
from tests.unit.operators.context import PIPELINE, Task


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people were notified of."""
    messages: list[str] = []
    monkeypatch.setattr(module, "notify", lambda run, message: messages.append(message))
    return messages


def judge(
    context: dict[str, Any],
    states: dict[str, str | None],
    failures: dict[str, Any] | None = None,
    pipeline: Pipeline = PIPELINE,
) -> Any:
    context["ti"] = Task(states, failures)
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

    monkeypatch.setattr(module, "notify", refuse)
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
