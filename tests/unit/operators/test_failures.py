"""A failing task leaves when and why it failed; the verdict names the first one and its cause."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)

from airflow_lib.errors import LeaseLost, SourceError
from airflow_lib.steps import Failed, Waiting
from airflow_lib.steps.serialization import to_json
from operators import plan_and_verdict
from operators.plan_and_verdict import VerdictOperator
from operators.release import ReleaseOperator
from operators.step import StepOperator
from tests.unit.operators.context import PIPELINE, STEP, Task

EARLY, LATE = "2026-01-01T10:00:00+00:00", "2026-01-01T10:05:00+00:00"


@pytest.fixture
def operator() -> StepOperator:
    return StepOperator(task_id="release", pipeline=PIPELINE, step=STEP, custom_operator_name="Release EMR")


@pytest.fixture(autouse=True)
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(
        plan_and_verdict, "tell", lambda context, holder, notice: messages.append(notice.message)
    )
    return messages


def verdict(context: dict[str, Any], states: dict[str, str | None], failures: dict[str, Any]) -> str:
    """What the verdict of a DAG a >> b >> c >> verdict says."""
    context["ti"] = Task(states, failures)
    with DAG("immigration", schedule=None):
        c, b, a = (BaseOperator(task_id=name) for name in "cba")
        judge = VerdictOperator(task_id="verdict", pipeline=PIPELINE)
        a >> b >> c >> judge
    with pytest.raises(AirflowFailException) as caught:
        judge.execute(context)
    return str(caught.value)


def failure(at: str, message: str) -> dict[str, str]:
    return {"at": at, "message": message}


@pytest.mark.parametrize("error", [SourceError("no airports.csv"), LeaseLost("no airports.csv")])
@pytest.mark.parametrize("operator_class", [StepOperator, ReleaseOperator])
def test_a_task_that_fails_as_it_begins_leaves_when_and_why(
    opened: list[Any], script: Any, context: dict[str, Any], operator_class: Any, error: Exception
) -> None:
    script(error)
    task = operator_class(task_id="x", pipeline=PIPELINE, step=STEP, custom_operator_name="X")
    context["ti"].xcom_pull = lambda **_: None
    context["ti"].run_id = "run1"
    with pytest.raises(Exception, match=r"no airports\.csv"):
        task.execute(context)
    record = context["ti"].xcoms["failure"]
    assert record["message"] == "no airports.csv"
    assert datetime.fromisoformat(record["at"]).tzinfo is not None


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "LeaseLost", "message": "taken"},
        {"kind": "SourceError", "message": "taken"},
        {"outcome": to_json(Failed({}, "taken"))},
    ],
)
def test_a_task_that_fails_after_its_wait_leaves_why(
    operator: StepOperator, context: dict[str, Any], event: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match="taken"):
        operator.resume_execution("resume", {"event": event}, context)
    assert context["ti"].xcoms["failure"]["message"] == "taken"


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (
            {
                "traceback": [
                    "Traceback (most recent call last):\n",
                    '  File "x", line 1\n',
                    "ImportError: no step\n",
                ]
            },
            "The trigger that waited for this task failed: ImportError: no step",
        ),
        ({"traceback": None}, "The trigger that waited for this task failed: Airflow tells no reason"),
        ({"traceback": []}, "The trigger that waited for this task failed: Airflow tells no reason"),
    ],
)
def test_a_task_whose_trigger_failed_leaves_the_triggers_error(
    operator: StepOperator, context: dict[str, Any], told: dict[str, Any], cause: str
) -> None:
    next_kwargs = {"error": "Trigger failure", **told}
    with pytest.raises(TaskDeferralError):
        operator.resume_execution(TRIGGER_FAIL_REPR, next_kwargs, context)
    assert context["ti"].xcoms["failure"]["message"].startswith(cause)


def test_a_task_whose_wait_airflow_ended_leaves_why(operator: StepOperator, context: dict[str, Any]) -> None:
    with pytest.raises(TaskDeferralTimeout):
        operator.resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger timeout"}, context)
    assert "timeout" in context["ti"].xcoms["failure"]["message"]


def test_what_a_trigger_of_another_version_gives_is_a_failure_with_its_cause(
    operator: StepOperator, context: dict[str, Any]
) -> None:
    with pytest.raises(AttributeError):
        operator.resume_execution("resume_later", {"event": {}}, context)
    assert "resume_later" in context["ti"].xcoms["failure"]["message"]


def test_a_task_that_airflow_ends_for_its_time_leaves_why(
    operator: StepOperator, opened: list[Any], script: Any, context: dict[str, Any]
) -> None:
    script(AirflowTaskTimeout("Timeout, PID: 7"))
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context)
    assert context["ti"].xcoms["failure"]["message"] == "Timeout, PID: 7"


def test_a_step_that_begins_after_renewed_credentials_leaves_its_failure_once(
    operator: StepOperator, opened: list[Any], script: Any, context: dict[str, Any]
) -> None:
    script(SourceError("no airports.csv"))
    with pytest.raises(AirflowFailException):
        operator.resume_execution("begin_again", {"event": {"give_up_at": EARLY}}, context)
    assert context["ti"].xcoms["failure"]["message"] == "no airports.csv"


def test_a_task_that_waits_leaves_no_failure(
    operator: StepOperator, opened: list[Any], script: Any, context: dict[str, Any]
) -> None:
    script(Waiting("the cluster", {"by": "noon"}, 20))
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    assert context["ti"].xcoms == {}


def test_a_cause_is_cut_to_what_airflows_database_takes(
    operator: StepOperator, context: dict[str, Any]
) -> None:
    with pytest.raises(LeaseLost):
        operator.resume_execution(
            "resume", {"event": {"kind": "LeaseLost", "message": "x\x00" * 5000}}, context
        )
    kept = context["ti"].xcoms["failure"]["message"]
    assert len(kept) <= 2000
    assert "\x00" not in kept


def test_a_record_that_cannot_be_kept_does_not_hide_the_error(
    operator: StepOperator, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(context["ti"], "xcom_push", refuse)
    with pytest.raises(LeaseLost, match="taken"):
        operator.resume_execution("resume", {"event": {"kind": "LeaseLost", "message": "taken"}}, context)


def test_the_verdict_names_what_failed_first_by_time_and_its_cause_then_the_rest(
    opened: list[Any], notified: list[str], context: dict[str, Any]
) -> None:
    states: dict[str, str | None] = {"a": "failed", "b": "failed", "c": "upstream_failed"}
    said = verdict(context, states, {"a": failure(LATE, "no session"), "b": failure(EARLY, "no column x")})
    assert said.startswith("Run run1 of immigration failed first in b: no column x\n")
    assert "- a: no session" in said
    assert "Never started (1): c." in said
    assert notified == [said]


@pytest.mark.parametrize("record", [None, [], "text", {"at": 3, "message": "m"}, {"message": "m"}])
def test_failed_tasks_without_a_record_are_named_in_the_dags_order(
    opened: list[Any], context: dict[str, Any], record: Any
) -> None:
    said = verdict(context, {"c": "failed", "b": "failed", "a": "success"}, {"b": record})
    assert "Run run1 of immigration failed in b: it left no cause" in said
    assert "- c: it left no cause" in said


def test_a_known_cause_comes_before_a_task_that_left_none_and_is_not_called_the_first_failure(
    opened: list[Any], context: dict[str, Any]
) -> None:
    said = verdict(context, {"a": "failed", "b": "failed"}, {"b": failure(EARLY, "no column x")})
    assert said.startswith("Run run1 of immigration failed. The first known cause, in b: no column x\n")
    assert "- a: it left no cause" in said


def test_a_run_that_a_person_marked_names_what_never_started(
    opened: list[Any], context: dict[str, Any]
) -> None:
    assert "b, c never started" in verdict(context, {"a": "success", "b": "skipped", "c": "skipped"}, {})


def test_a_verdict_of_very_many_failures_stays_short(opened: list[Any], context: dict[str, Any]) -> None:
    tasks = [f"t{number:04}" for number in range(1000)]
    said = verdict(context, dict.fromkeys(tasks, "failed"), {t: failure(EARLY, "y" * 5000) for t in tasks})
    assert len(said) < 20_000
    assert "and 969 more" in said
