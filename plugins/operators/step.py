"""One operator and one trigger that carry any step of the library through Airflow.

The worker begins a step; while it waits, the triggerer polls it, so no worker slot is held.
What passes (AWS is busy, Livy or the warehouse does not answer) is borne for as long in a worker as in the triggerer.
Where AWS does not accept the credentials, the run is opened anew until it does, or until the step's deadline: a
session that is kept does not see what was renewed.
What a step does is in `airflow_lib.steps`; nothing of that is here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskDeferralError
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_lib import errors
from airflow_lib.aws.errors import describe_credentials_error, explain, is_credentials_error
from airflow_lib.describe import describe_step
from airflow_lib.errors import (
    CredentialsRefused,
    DeclarationError,
    InputChanged,
    JobFault,
    LivyDenied,
    LivyUntrusted,
    MayflyError,
    OutputRefused,
    RowsLost,
    SettingsError,
    SourceError,
    StatementRefused,
    TerminalState,
    WaitTimeout,
)
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.polling import SystemClock, TransientBudget, is_past, repeat_transient, time_after
from airflow_lib.steps import Done, Failed, Json, Outcome, Run, Step, Waiting
from airflow_lib.steps.serialization import from_json, to_json
from operators.airflow_run import forget_aws, is_forced, open_run, open_services, read_settings, window_of
from operators.assets import describe_events
from operators.failures import recorded_failure
from operators.lineage import note_lineage
from operators.task_links import TaskLinks
from operators.times import DEFERRED_AT, now, recorded_times, with_times

log = logging.getLogger(__name__)

# A retry would fail with the same message, or wait as long again: a person has to change something first.
NO_RETRY = (
    SettingsError,
    DeclarationError,
    SourceError,
    TerminalState,
    WaitTimeout,
    LivyDenied,
    LivyUntrusted,
    JobFault,
    RowsLost,
    StatementRefused,
    OutputRefused,
    InputChanged,
)


# In the XCom of the step that found out; the verdict reads it there.
NOTHING_TO_DO = "nothing_to_do"

# If a trigger fires before the scheduler has processed the end of the process that deferred, the scheduler takes
# the resumed task for a killed one (scheduler_job_runner.process_executor_events, Airflow 3.3).
_FIRST_POLL_S = 3.0

# A step that has not begun has no deadline yet: for how long it waits for renewed credentials, and how often it looks.
RENEWAL_S, _RENEWAL_POLL_S = 3600.0, 30.0


class StepOperator(BaseOperator):
    """Begins a step, defers while it waits, and returns the step's result (JSON, kept as XCom).

    `custom_operator_name` is what Airflow's UI shows as the task's operator (BaseOperator.operator_name,
    Airflow 3.3); without it every task would be shown as `StepOperator`.
    """

    def __init__(self, *, pipeline: Pipeline, step: Step, custom_operator_name: str, **kwargs: Any) -> None:
        super().__init__(**{"doc_md": describe_step(pipeline, step), **kwargs})
        self.pipeline = pipeline
        self.step = step
        self.custom_operator_name = custom_operator_name
        self.links = TaskLinks(pipeline.name, step)
        self.operator_extra_links = self.links.all
        self._lineage: Any = None

    def get_openlineage_facets_on_complete(self, _: Any) -> Any:
        """What Airflow's OpenLineage provider tells of the task, where it is installed and configured."""
        return self._lineage

    @with_times
    def execute(self, context: Any) -> Json:
        with recorded_failure(context):
            return self._begin(context, time_after(SystemClock(), RENEWAL_S))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after the wait, as Airflow does; where the trigger itself failed, with its error as the cause."""
        self.links.has_waited = True
        kwargs = dict(next_kwargs or {})
        deferred_at = str(kwargs.pop(DEFERRED_AT, ""))  # none where the trigger failed
        with recorded_times(context, deferred_at), recorded_failure(context):
            try:
                return super().resume_execution(next_method, kwargs, context)
            except TaskDeferralError as error:
                raise TaskDeferralError(_describe_failed_trigger(kwargs)) from error

    def begin_again(self, context: Any, event: Json) -> Json:
        """Begin the step once AWS accepts the credentials, or when there is no more time to wait for that."""
        return self._begin(context, event["give_up_at"])

    def _begin(self, context: Any, give_up_at: str) -> Json:
        try:
            with self.watched():
                run, outcome = repeat_transient(
                    lambda: self._open_and_begin(context), clock=SystemClock(), sleep=time.sleep
                )
        except NO_RETRY as error:
            raise AirflowFailException(str(error)) from error
        except CredentialsRefused as error:
            self._wait_for_credentials(error, give_up_at)
        if isinstance(outcome, Waiting):
            self._wait(outcome, run)
        return self._finish(context, outcome)

    def watched(self) -> AbstractContextManager[None]:
        """What is around the step while it begins in a worker."""
        return nullcontext()

    def kept(self) -> Json:
        """What the task knows besides the step's state when it begins to wait: `restore` gets it after the wait."""
        return {}

    def restore(self, kept: Json) -> None:
        """Take up what was `kept`; nothing, where a version before this one began to wait."""

    def _wait_for_credentials(self, refused: CredentialsRefused, give_up_at: str) -> NoReturn:
        if self.step.checks_credentials:
            raise AirflowFailException(str(refused)) from refused
        if is_past(SystemClock(), give_up_at):
            raise refused
        log.warning("waiting for renewed credentials: %s", refused)
        self.defer(
            trigger=CredentialsTrigger(give_up_at=give_up_at),
            method_name="begin_again",
            kwargs={DEFERRED_AT: now().isoformat()},
        )

    def _open_and_begin(self, context: Any) -> tuple[Run, Outcome]:
        """Raises CredentialsRefused, naming them, where that is what keeps the step from beginning."""
        run: Run | None = None
        try:
            run = self.open_run(context)
            return run, self.step.begin(run)
        except Exception as error:
            if not is_credentials_error(error):
                raise
            if run is None:
                raise CredentialsRefused(describe_credentials_error(error)) from error
            forget_aws(run.aws)
            raise CredentialsRefused(f"{run.aws.origin}: {describe_credentials_error(error)}") from error

    def open_run(self, context: Any) -> Run:
        """The run that the step is given. Raises SettingsError."""
        run = open_run(self.pipeline, context["run_id"], self.window_of(context))
        return replace(run, max_tries=context["ti"].max_tries, force=is_forced(context))

    def window_of(self, context: Any) -> Window:
        """The run's window. Raises SettingsError."""
        return window_of(context, self.pipeline)

    def resume(self, context: Any, event: Json, **kept: Any) -> Json:
        """Continue after the wait: return the result, or raise the error that ended the trigger."""
        self.restore(kept)
        if "outcome" in event:
            return self._finish(context, from_json(event["outcome"]))
        kind = getattr(errors, event["kind"], MayflyError)
        if issubclass(kind, NO_RETRY):
            raise AirflowFailException(event["message"])
        raise kind(event["message"])

    def _finish(self, context: Any, outcome: Done | Failed) -> Json:
        """The step's result; it is kept as XCom, too, before the error or the signal to skip is raised.

        Airflow skips these tasks at once, before it lets the scheduler see that this one is done.
        """
        self.links.tell(outcome.result)
        if isinstance(outcome, Done) and not outcome.nothing_to_do:
            if self.outlets:
                describe_events(self.outlets, context, self.window_of(context), outcome.result)
            self._lineage = note_lineage(lambda: self.open_run(context), self.step, outcome.result)
            return outcome.result
        if isinstance(outcome, Failed):
            context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=outcome.result)
            raise AirflowFailException(outcome.message)
        log.info("nothing to do: %s", outcome.nothing_to_do)
        result = {**outcome.result, NOTHING_TO_DO: outcome.nothing_to_do}
        context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=result)
        raise DownstreamTasksSkipped(tasks=self.list_idle(leftovers=outcome.leftovers))  # type: ignore[no-untyped-call]

    def list_idle(self, *, leftovers: bool) -> list[str]:
        """The tasks after this one that are skipped where there is nothing to do; with `leftovers` no release is."""
        return sorted(
            task.task_id
            for task in self.get_flat_relatives(upstream=False)
            if isinstance(task, StepOperator) and not (leftovers and task.is_teardown)
        )

    def _wait(self, waiting: Waiting, run: Run) -> NoReturn:
        log.info("waiting: %s", waiting.what)
        self.links.tell(waiting.state, run.settings)
        self.defer(
            trigger=StepTrigger(
                step=to_json(self.step),
                pipeline=to_json(self.pipeline),
                run_id=run.run_id,
                window=to_json(run.window),
                state=waiting.state,
                poll_s=waiting.poll_s,
                max_tries=run.max_tries,
                force=run.force,
            ),
            method_name="resume",
            kwargs={**self.kept(), DEFERRED_AT: now().isoformat()},
        )


class StepTrigger(BaseTrigger):
    """Polls a step until it is done or fails; `on_kill` ends what belongs to this run alone."""

    def __init__(
        self,
        *,
        step: Json,
        pipeline: Json,
        run_id: str,
        window: Json,
        state: Json,
        poll_s: float,
        max_tries: int = 0,
        force: bool = False,  # the version before deferred without it
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._arguments: Json = {
            "step": step,
            "pipeline": pipeline,
            "run_id": run_id,
            "window": window,
            "state": state,
            "poll_s": poll_s,
            "max_tries": max_tries,
            "force": force,
        }
        self._step: Step = from_json(step)
        self._state = state
        self._poll_s = poll_s

    def serialize(self) -> tuple[str, Json]:
        return "operators.step.StepTrigger", self._arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        budget = TransientBudget(SystemClock())
        run: Run | None = None
        renewing = False
        pause_s = max(self._poll_s, _FIRST_POLL_S)
        while True:
            await asyncio.sleep(pause_s)
            try:
                # Each poll blocks on the network: in a thread, so that it holds up no other trigger.
                if run is None:
                    run = await asyncio.to_thread(self._open_run)
                outcome = await asyncio.to_thread(self._step.poll, run, self._state)
            except Exception as error:  # noqa: BLE001  whatever it is, the task must fail with it
                if budget.allows(error) or (run is None and self._may_be_renewed(error, renewing=renewing)):
                    log.warning("the poll failed and is repeated: %s", error)
                    renewing = renewing or is_credentials_error(error)
                    continue
                yield TriggerEvent(_error_event(error))
                return
            budget.reset()
            if not isinstance(outcome, Waiting):
                yield TriggerEvent({"outcome": to_json(outcome)})
                return
            self._state, pause_s, renewing = outcome.state, outcome.poll_s, outcome.reopen
            if outcome.reopen:
                log.warning("waiting: %s", outcome.what)
                forget_aws(run.aws)
                run = None

    async def on_kill(self) -> None:
        run = await asyncio.to_thread(self._open_run)
        await asyncio.to_thread(self._step.cancel, run, self._state)

    def _may_be_renewed(self, error: Exception, *, renewing: bool) -> bool:
        """Whether a run that cannot be opened may be, before the step's deadline.

        Whoever renews credentials in a Variable may save half of them first.
        """
        if not is_credentials_error(error) and not (renewing and isinstance(error, SettingsError)):
            return False
        return "deadline" in self._state and not is_past(SystemClock(), self._state["deadline"])

    def _open_run(self) -> Run:
        pipeline: Pipeline = from_json(self._arguments["pipeline"])
        window: Window = from_json(self._arguments["window"])
        run = open_run(pipeline, str(self._arguments["run_id"]), window)
        return replace(run, max_tries=self._arguments["max_tries"], force=self._arguments["force"])


class CredentialsTrigger(BaseTrigger):
    """Fires once AWS accepts the credentials that Airflow has, or at `give_up_at`: a step can begin then."""

    def __init__(self, *, give_up_at: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._give_up_at = give_up_at

    def serialize(self) -> tuple[str, Json]:
        return "operators.step.CredentialsTrigger", {"give_up_at": self._give_up_at}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while not is_past(SystemClock(), self._give_up_at):
            await asyncio.sleep(_RENEWAL_POLL_S)
            if await asyncio.to_thread(_are_accepted):
                break
        yield TriggerEvent({"give_up_at": self._give_up_at})


def _are_accepted() -> bool:
    """Whether AWS accepts the credentials that the Variables and the connection name now."""
    try:
        aws = open_services(read_settings()).aws
        try:
            aws.sts.get_caller_identity()
        except Exception:
            forget_aws(aws)
            raise
    except Exception as error:  # noqa: BLE001  whatever it is may be mended until there is no more time
        log.warning("waiting for renewed credentials: %s", error)
        return False
    return True


def _describe_failed_trigger(told: dict[str, Any]) -> str:
    """The message of a trigger that did not run to its end; Airflow tells its traceback as lines."""
    lines = "".join(map(str, told.get("traceback") or ())).strip().splitlines()
    why = lines[-1].strip() if lines else "Airflow tells no reason; read the triggerer's log"
    return f"The trigger that waited for this task failed: {why}"


def _error_event(error: Exception) -> Json:
    """The error as the trigger's event, which `resume` raises again in the worker."""
    if isinstance(error, MayflyError):
        return {"kind": type(error).__name__, "message": str(error)}
    return {"kind": "MayflyError", "message": explain(error)}
