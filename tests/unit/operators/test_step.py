"""One operator and one trigger carry any step through Airflow."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models import taskinstance
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import ClientError

from airflow_lib.errors import (
    CredentialsRefused,
    DeclarationError,
    JobFault,
    LeaseLost,
    LivyDenied,
    LivyError,
    LivyUnreachable,
    LivyUntrusted,
    MayflyError,
    OutputRefused,
    SettingsError,
    SizingError,
    SourceError,
    StatementRefused,
    TeardownError,
    TerminalState,
    WaitTimeout,
    WarehouseUnreachable,
)
from airflow_lib.polling import SystemClock, time_after
from airflow_lib.steps import Done, Failed, Run, Waiting
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.serialization import to_json
from operators import step as module
from operators.step import CredentialsTrigger, StepOperator, StepTrigger
from tests.unit.operators.context import APRIL, PIPELINE, STEP

Script = Callable[..., list[Any]]
PARAMS = {"window_start": "2016-04-01", "window_end": "2016-05-01"}
WAITING = Waiting("the cluster", {"by": "noon"}, 20)


@pytest.fixture
def operator() -> StepOperator:
    return StepOperator(task_id="release", pipeline=PIPELINE, step=STEP, custom_operator_name="Release EMR")


@pytest.fixture
def trigger(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any]
) -> StepTrigger:
    """The trigger of a task that waits, as the triggerer makes it from its serialised form."""
    script(WAITING)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    classpath, arguments = deferred.value.trigger.serialize()
    owner, _, name = classpath.rpartition(".")
    made = getattr(importlib.import_module(owner), name)(**json.loads(json.dumps(arguments)))
    assert isinstance(made, StepTrigger)
    opened.clear()
    return made


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the trigger meant to sleep, each time."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return slept


def fire(trigger: StepTrigger) -> TriggerEvent:
    """The one event of a trigger."""

    async def listen() -> list[TriggerEvent]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(listen())
    return event


def test_a_step_that_is_done_at_once_returns_its_result(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any]
) -> None:
    calls = script(Done({"rows": 3}))
    assert operator.execute(context) == {"rows": 3}
    assert calls == ["begin"]
    assert opened == [("run1", APRIL)]


def test_a_step_that_waits_is_deferred_and_resumed_by_name(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any]
) -> None:
    script(WAITING)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    assert deferred.value.method_name == "resume"
    assert callable(operator.resume)


def test_the_trigger_continues_in_another_process_with_step_window_and_state(
    trigger: StepTrigger, opened: list[Any], script: Script, pauses: list[float]
) -> None:
    calls = script(Done())
    fire(trigger)
    assert calls == [{"by": "noon"}]
    assert opened == [("run1", APRIL)]


def test_the_trigger_polls_with_the_latest_state_until_the_step_is_done(
    trigger: StepTrigger, opened: list[Any], script: Script, pauses: list[float]
) -> None:
    calls = script(Waiting("a", {"n": 1}, 7), Waiting("b", {"n": 2}, 9), Done({"rows": 3}))
    assert fire(trigger).payload == {"outcome": to_json(Done({"rows": 3}))}
    assert calls == [{"by": "noon"}, {"n": 1}, {"n": 2}]
    assert pauses == [20, 7, 9]
    assert len(opened) == 1


def test_the_trigger_never_fires_at_once(opened: list[Any], script: Script, pauses: list[float]) -> None:
    script(Done())
    hasty = StepTrigger(
        step=to_json(STEP),
        pipeline=to_json(PIPELINE),
        run_id="run1",
        window=to_json(APRIL),
        state={},
        poll_s=0.1,
    )
    fire(hasty)
    assert pauses[0] >= 3


def test_the_trigger_repeats_a_poll_that_failed_for_a_transient_reason(
    trigger: StepTrigger, opened: list[Any], script: Script, pauses: list[float]
) -> None:
    calls = script(LivyUnreachable("no answer"), LivyUnreachable("no answer"), Done())
    assert "outcome" in fire(trigger).payload
    assert calls == [{"by": "noon"}] * 3


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (WaitTimeout("too late"), {"kind": "WaitTimeout", "message": "too late"}),
        (TerminalState("it ended"), {"kind": "TerminalState", "message": "it ended"}),
        (LivyDenied("403"), {"kind": "LivyDenied", "message": "403"}),
        (LivyUntrusted("who?"), {"kind": "LivyUntrusted", "message": "who?"}),
        (ValueError("a bug"), {"kind": "MayflyError", "message": "unexpected ValueError: a bug"}),
    ],
)
def test_the_event_of_an_error_is_its_class_and_message(
    trigger: StepTrigger,
    opened: list[Any],
    script: Script,
    pauses: list[float],
    error: Exception,
    event: dict[str, str],
) -> None:
    script(error)
    assert fire(trigger).payload == event


def test_a_run_that_cannot_be_opened_ends_the_trigger_with_its_error(
    trigger: StepTrigger, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SettingsError("mayfly: the Variable is missing")

    monkeypatch.setattr(module, "open_run", refuse)
    assert fire(trigger).payload["kind"] == "SettingsError"


def test_killing_the_task_cancels_the_step_with_its_latest_state(
    trigger: StepTrigger, opened: list[Any], script: Script, pauses: list[float]
) -> None:
    calls = script(Waiting("a", {"n": 1}, 7), Done())
    fire(trigger)
    asyncio.run(trigger.on_kill())
    assert calls[-1] == ("cancel", {"n": 1})


def test_the_result_of_the_wait_is_the_tasks_result(operator: StepOperator, context: dict[str, Any]) -> None:
    event = json.loads(json.dumps({"outcome": to_json(Done({"rows": 3, "names": ["a"]}))}))
    assert operator.resume(context, event)["rows"] == 3


@pytest.mark.parametrize("kind", [LeaseLost, LivyError, TeardownError, MayflyError])
def test_an_error_of_the_trigger_is_raised_in_the_worker_as_its_own_class(
    operator: StepOperator, context: dict[str, Any], kind: type[MayflyError]
) -> None:
    with pytest.raises(kind, match="no answer") as caught:
        operator.resume(context, {"kind": kind.__name__, "message": "no answer"})
    assert type(caught.value) is kind


NO_RETRY = [SettingsError, DeclarationError, SizingError, SourceError, TerminalState, WaitTimeout]
NO_RETRY += [LivyDenied, LivyUntrusted, StatementRefused, JobFault, OutputRefused]


@pytest.mark.parametrize("kind", NO_RETRY)
def test_an_error_that_a_person_must_correct_is_not_retried(
    operator: StepOperator,
    opened: list[Any],
    script: Script,
    context: dict[str, Any],
    kind: type[MayflyError],
) -> None:
    script(kind("change it"))
    with pytest.raises(AirflowFailException, match="change it"):
        operator.execute(context)
    with pytest.raises(AirflowFailException, match="change it"):
        operator.resume(context, {"kind": kind.__name__, "message": "change it"})


def test_a_transient_error_is_left_to_airflows_retries(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any]
) -> None:
    script(LeaseLost("taken"))
    with pytest.raises(LeaseLost):
        operator.execute(context)


@pytest.mark.parametrize("waited", [False, True])
def test_the_result_of_a_failed_step_is_kept_as_xcom(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any], waited: bool
) -> None:
    failed = Failed({"left": ["a role"]}, "a role is left")
    script(failed)
    event = {"event": {"outcome": to_json(failed)}}
    go = partial(operator.resume_execution, "resume", event) if waited else operator.execute
    with pytest.raises(AirflowFailException, match="a role is left"):
        go(context)
    assert list(context["ti"].xcoms) == [BaseXCom.XCOM_RETURN_KEY, "failure", "times"]
    assert list(context["ti"].xcoms[BaseXCom.XCOM_RETURN_KEY]["left"]) == ["a role"]


def test_a_step_knows_how_often_airflow_may_try_it_wherever_it_is(
    operator: StepOperator, opened: list[Any], pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`max_tries` grows where a person clears the task, and not where Airflow tries it again."""
    seen: list[int] = []

    def begin(_: Any, run: Run) -> Waiting:
        seen.append(run.max_tries)
        return WAITING

    def poll(_: Any, run: Run, state: Any) -> Done:
        seen.append(run.max_tries)
        return Done()

    monkeypatch.setattr(ReleaseSlot, "begin", begin)
    monkeypatch.setattr(ReleaseSlot, "poll", poll)
    context = {"run_id": "run1", "ti": SimpleNamespace(max_tries=7), "params": PARAMS, "dag_run": None}
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    fire(StepTrigger(**json.loads(json.dumps(deferred.value.trigger.serialize()[1]))))
    assert seen == [7, 7]


def test_a_trigger_of_the_version_before_goes_on(
    trigger: StepTrigger, opened: list[Any], script: Script, pauses: list[float]
) -> None:
    script(Done())
    _, arguments = trigger.serialize()
    older = {key: value for key, value in arguments.items() if key != "max_tries"}
    assert "outcome" in fire(StepTrigger(**older)).payload


def test_airflow_keeps_max_tries_in_a_retry_and_raises_it_in_a_clear() -> None:
    """What the deadlines of retries rest on, in the source of the Airflow that is installed."""
    source = inspect.getsource(taskinstance.clear_task_instances)
    assert "ti.max_tries = ti.try_number + task.retries" in source
    assert "max_tries" not in inspect.getsource(taskinstance.TaskInstance.prepare_db_for_next_try)
    assert "max_tries=what.ti_context.max_tries" in inspect.getsource(task_runner)


EXPIRED = ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "GetObject")
REFUSED = Waiting(
    "renewed credentials", {"deadline": time_after(SystemClock(), 86_400)}, 20, reopen=True
)  # counted from the collection of the tests


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The clients that are not to be used again."""
    clients: list[Any] = []
    monkeypatch.setattr(module, "forget_aws", clients.append)
    return clients


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a worker meant to sleep, each time."""
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    return pauses


def test_after_credentials_were_refused_the_trigger_polls_with_a_run_opened_anew(
    trigger: StepTrigger, opened: list[Any], script: Script, pauses: list[float], forgotten: list[Any]
) -> None:
    script(WAITING, REFUSED, REFUSED, WAITING, Done())
    assert "outcome" in fire(trigger).payload
    assert len(opened) == 3
    assert len(forgotten) == 2


def _opens(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> list[Any]:
    """Let runs be opened as they are, but for the errors at the head of the list; what is left of it."""
    opens, left = module.open_run, list(outcomes)

    def open_run(*arguments: Any) -> Any:
        outcome = left.pop(0) if left else None
        if isinstance(outcome, Exception):
            raise outcome
        return opens(*arguments)

    monkeypatch.setattr(module, "open_run", open_run)
    return left


@pytest.mark.parametrize(
    "half_saved", [EXPIRED, CredentialsRefused("aws_default"), SettingsError("aws_credentials: no JSON")]
)
def test_a_run_that_cannot_be_opened_anew_yet_is_waited_for(
    trigger: StepTrigger,
    opened: list[Any],
    script: Script,
    pauses: list[float],
    forgotten: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    half_saved: Exception,
) -> None:
    calls = script(REFUSED, Done())
    left = _opens(monkeypatch, None, half_saved, EXPIRED, half_saved)
    assert "outcome" in fire(trigger).payload
    assert left == []
    assert calls == [{"by": "noon"}, REFUSED.state]


def test_a_run_that_cannot_be_opened_by_the_deadline_ends_the_trigger_with_the_cause(
    trigger: StepTrigger,
    opened: list[Any],
    script: Script,
    pauses: list[float],
    forgotten: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(Waiting("renewed credentials", {"deadline": time_after(SystemClock(), -1)}, 20, reopen=True))
    _opens(monkeypatch, None, CredentialsRefused("the Airflow connection aws_default: expired"))
    assert fire(trigger).payload == {
        "kind": "CredentialsRefused",
        "message": "the Airflow connection aws_default: expired",
    }


def test_a_variable_that_is_wrong_ends_a_trigger_whose_credentials_were_accepted(
    trigger: StepTrigger,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
    opened: list[Any],
    script: Script,
) -> None:
    calls = script()
    _opens(monkeypatch, SettingsError("mayfly: the Variable is missing"))
    assert fire(trigger).payload["kind"] == "SettingsError"
    assert calls == []


@pytest.mark.parametrize(
    "error", [WarehouseUnreachable("refused"), ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")]
)
def test_what_passes_is_borne_in_a_worker_too_with_the_run_opened_each_time(
    operator: StepOperator,
    opened: list[Any],
    script: Script,
    context: dict[str, Any],
    slept: list[float],
    error: Exception,
) -> None:
    calls = script(error, error, Done({"rows": 3}))
    assert operator.execute(context) == {"rows": 3}
    assert calls == ["begin"] * 3
    assert slept == [5, 10]
    assert len(opened) == 3


@pytest.mark.parametrize("error", [EXPIRED, CredentialsRefused("Could not delete role x: ExpiredToken")])
def test_a_step_whose_credentials_are_refused_begins_again_once_they_are_accepted(
    operator: StepOperator,
    opened: list[Any],
    script: Script,
    context: dict[str, Any],
    slept: list[float],
    forgotten: list[Any],
    error: Exception,
) -> None:
    script(error, Done({"rows": 3}))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    trigger = deferred.value.trigger
    assert isinstance(trigger, CredentialsTrigger)
    assert len(forgotten) == 1
    assert slept == []
    again = getattr(operator, deferred.value.method_name)
    assert again(context, trigger.serialize()[1]) == {"rows": 3}


def test_a_step_does_not_wait_for_credentials_for_ever(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any], forgotten: list[Any]
) -> None:
    script(EXPIRED, EXPIRED)
    with pytest.raises(TaskDeferred) as deferred:
        operator.begin_again(context, {"give_up_at": time_after(SystemClock(), 60)})
    assert deferred.value.trigger.serialize()[1]["give_up_at"] < time_after(SystemClock(), 61)
    with pytest.raises(CredentialsRefused, match=r"boto3's own chain.*: AWS answered ExpiredToken"):
        operator.begin_again(context, {"give_up_at": time_after(SystemClock(), -1)})


def test_the_preflight_tells_at_once_that_credentials_are_refused(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, opened: list[Any]
) -> None:
    preflight = StepOperator(
        task_id="preflight", pipeline=PIPELINE, step=Preflight(), custom_operator_name="Preflight"
    )
    _opens(monkeypatch, CredentialsRefused("the Airflow connection aws_default: expired"))
    with pytest.raises(AirflowFailException, match="aws_default: expired"):
        preflight.execute(context)


class Identity:
    """Answers, or raises what is left in `script`, who asks."""

    def __init__(self, *script: Exception) -> None:
        self.script, self.asked = list(script), 0
        self.sts = self

    def get_caller_identity(self) -> None:
        self.asked += 1
        if self.script:
            raise self.script.pop(0)


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Identity:
    asked = Identity()
    monkeypatch.setattr(module, "read_settings", lambda: None)
    monkeypatch.setattr(module, "open_services", lambda _: SimpleNamespace(aws=asked))
    return asked


def wait_for_credentials(within_s: float) -> TriggerEvent:
    path, arguments = CredentialsTrigger(give_up_at=time_after(SystemClock(), within_s)).serialize()
    assert path == "operators.step.CredentialsTrigger"
    return fire(CredentialsTrigger(**arguments))  # type: ignore[arg-type]


def test_credentials_are_tried_until_aws_accepts_them(
    identity: Identity, pauses: list[float], forgotten: list[Any]
) -> None:
    identity.script = [EXPIRED, SettingsError("aws_credentials: no JSON"), EXPIRED]
    event = wait_for_credentials(600)
    assert identity.asked == 4
    assert pauses == [30] * 4
    assert set(event.payload) == {"give_up_at"}
    assert forgotten == [identity] * 3


def test_credentials_are_not_tried_beyond_the_time_to_give_up(
    identity: Identity, pauses: list[float], forgotten: list[Any]
) -> None:
    wait_for_credentials(-1)
    assert identity.asked == 0


NOTHING = Done({"batch": 3}, "the warehouse holds it already", leftovers=True)


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "after a wait"])
def test_a_step_with_nothing_to_do_keeps_its_result_says_why_and_skips_what_follows(
    operator: StepOperator, opened: list[Any], script: Script, context: dict[str, Any], *, deferred: bool
) -> None:
    script(NOTHING)
    event = {"event": {"outcome": to_json(NOTHING)}}
    end = (
        partial(operator.resume_execution, "resume", event, context)
        if deferred
        else partial(operator.execute, context)
    )
    with pytest.raises(DownstreamTasksSkipped) as caught:
        end()
    assert caught.value.tasks == []
    assert context["ti"].xcoms.pop("times")
    assert context["ti"].xcoms == {
        BaseXCom.XCOM_RETURN_KEY: {"batch": 3, "nothing_to_do": "the warehouse holds it already"}
    }, "the verdict takes no record of a failure for one that passed"


@pytest.mark.parametrize(
    ("params", "forced"),
    [({}, False), ({"force": False}, False), ({"force": True}, True), ({"force": "yes"}, False)],
)
def test_the_param_force_reaches_the_step_in_the_worker_and_in_the_triggerer(
    opened: list[Any],
    script: Script,
    context: dict[str, Any],
    operator: StepOperator,
    params: dict[str, Any],
    *,
    forced: bool,
) -> None:
    context["params"] = {**PARAMS, **params}
    assert operator.open_run(context).force is forced
    script(WAITING)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    _, arguments = deferred.value.trigger.serialize()
    trigger = StepTrigger(**json.loads(json.dumps(arguments)))
    assert trigger._open_run().force is forced


def test_a_trigger_of_the_version_before_forces_nothing(trigger: StepTrigger, opened: list[Any]) -> None:
    _, arguments = trigger.serialize()
    old = {name: value for name, value in arguments.items() if name != "force"}
    assert StepTrigger(**old)._open_run().force is False
