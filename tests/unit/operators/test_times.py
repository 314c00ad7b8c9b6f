"""When a task began and ended, for the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskDeferralError, TaskDeferred

from airflow_lib.steps import Done, Failed, Waiting
from airflow_lib.steps.serialization import to_json
from operators import times as module
from operators.plan_and_verdict import PlanOperator
from operators.step import StepOperator
from operators.times import Times, parse_times, read_times
from tests.unit.operators.context import PIPELINE, STEP, Task

NOON = Task.start_date


@pytest.fixture
def operator() -> StepOperator:
    return StepOperator(task_id="release", pipeline=PIPELINE, step=STEP, custom_operator_name="Release EMR")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """A clock that stands still at a minute past noon."""
    moment = [NOON + timedelta(seconds=60)]
    monkeypatch.setattr(module, "now", lambda: moment[0])
    monkeypatch.setattr("operators.step.now", lambda: moment[0])
    return moment


def kept(context: dict[str, Any]) -> Times | None:
    return parse_times(context["ti"].xcoms.get("times"))


def test_a_task_that_does_not_wait_keeps_its_times(
    operator: StepOperator, opened: list[Any], script: Any, context: dict[str, Any]
) -> None:
    script(Done({}))
    operator.execute(context)
    assert kept(context) == Times(NOON, NOON + timedelta(seconds=60), 0.0, 1)


@pytest.mark.parametrize("end", [Failed({}, "left"), ValueError("a bug"), Done({}, nothing_to_do="loaded")])
def test_a_task_that_fails_or_skips_others_keeps_its_times(
    operator: StepOperator, opened: list[Any], script: Any, context: dict[str, Any], end: Any
) -> None:
    script(end)
    with pytest.raises((Exception, DownstreamTasksSkipped)):
        operator.execute(context)
    assert kept(context) is not None


def test_a_task_that_waits_tells_how_long_once_it_goes_on(
    operator: StepOperator,
    opened: list[Any],
    script: Any,
    context: dict[str, Any],
    clock: list[datetime],
) -> None:
    script(Waiting("the cluster", {}, 20))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    assert kept(context) is None
    clock[0] += timedelta(seconds=200)
    kwargs = {**deferred.value.kwargs, "event": {"outcome": to_json(Done({}))}}
    operator.resume_execution("resume", kwargs, context)
    assert kept(context) == Times(NOON, NOON + timedelta(seconds=260), 200.0, 1)


@pytest.mark.parametrize("since", [{}, {"deferred_at": "noon"}, {"deferred_at": "2026-11-21T12:00:00"}])
def test_where_it_is_not_known_when_the_task_deferred_its_wait_is_not_known(
    operator: StepOperator, opened: list[Any], context: dict[str, Any], since: dict[str, str]
) -> None:
    """As where the version before deferred it."""
    operator.resume_execution("resume", {**since, "event": {"outcome": to_json(Done({}))}}, context)
    times = kept(context)
    assert times is not None
    assert times.waited_s is None


def test_a_trigger_that_failed_leaves_times(
    operator: StepOperator, opened: list[Any], context: dict[str, Any]
) -> None:
    with pytest.raises(TaskDeferralError):
        operator.resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger failure"}, context)
    assert kept(context) is not None


def test_the_plan_keeps_its_times(opened: list[Any], context: dict[str, Any]) -> None:
    PlanOperator(task_id="plan", pipeline=PIPELINE).execute(context)
    assert kept(context) is not None


def test_times_that_cannot_be_kept_fail_no_task(
    operator: StepOperator,
    opened: list[Any],
    script: Any,
    context: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    script(Done({"a": 1}))
    monkeypatch.setattr(Task, "xcom_push", refuse)
    assert operator.execute(context) == {"a": 1}


RECORD = {
    "began": "2026-11-21T12:00:00+00:00",
    "ended": "2026-11-21T12:01:00+00:00",
    "waited_s": 5,
    "tries": 2,
}


def test_a_record_is_read_back() -> None:
    ti = Task(times={"a": RECORD})
    assert read_times(ti, "a") == Times(NOON, datetime(2026, 11, 21, 12, 1, tzinfo=UTC), 5.0, 2)
    assert read_times(ti, "b") is None


@pytest.mark.parametrize(
    "odd",
    [
        None,
        5,
        [],
        {},
        {**RECORD, "began": 5},
        {**RECORD, "ended": "2026-11-21T12:01:00"},
        {**RECORD, "ended": "x"},
    ],
)
def test_what_is_no_record_counts_as_none(odd: Any) -> None:
    assert parse_times(odd) is None


@pytest.mark.parametrize(
    "odd", [{"waited_s": "5"}, {"waited_s": True}, {"tries": "2"}, {"tries": -1}, {"tries": 10**9}]
)
def test_of_a_record_that_is_odd_the_times_are_taken(odd: dict[str, Any]) -> None:
    times = parse_times({**RECORD, **odd})
    assert times is not None
    assert times.waited_s is None or times.tries == 1


def test_a_record_that_cannot_be_read_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(Task, "xcom_pull", refuse)
    assert read_times(Task(), "a") is None
