"""One operator and one trigger that carry any step of the library through Airflow.

The worker begins a step; while it waits, the triggerer polls it, so no worker slot is held.
What a step does is in `airflow_lib.steps`; nothing of that is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_lib import errors
from airflow_lib.errors import (
    DeclarationError,
    LivyDenied,
    LivyUntrusted,
    MayflyError,
    RowsLost,
    SettingsError,
    SourceError,
    TerminalState,
    WaitTimeout,
)
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.polling import SystemClock, TransientBudget
from airflow_lib.steps import Done, Failed, Json, Run, Step, Waiting
from airflow_lib.steps.serialization import from_json, to_json
from operators.airflow_run import open_run, window_of

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
    RowsLost,
)


# If a trigger fires before the scheduler has processed the end of the process that deferred, the scheduler takes
# the resumed task for a killed one (scheduler_job_runner.process_executor_events, Airflow 3.3).
_FIRST_POLL_S = 3.0


class StepOperator(BaseOperator):
    """Begins a step, defers while it waits, and returns the step's result (JSON, kept as XCom).

    `custom_operator_name` is what Airflow's UI shows as the task's operator (BaseOperator.operator_name,
    Airflow 3.3); without it every task would be shown as `StepOperator`.
    """

    def __init__(self, *, pipeline: Pipeline, step: Step, custom_operator_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.step = step
        self.custom_operator_name = custom_operator_name

    def execute(self, context: Any) -> Json:
        try:
            run = self.open_run(context)
            outcome = self.step.begin(run)
        except NO_RETRY as error:
            raise AirflowFailException(str(error)) from error
        if isinstance(outcome, Waiting):
            self._wait(outcome, run)
        return _finish(context, outcome)

    def open_run(self, context: Any) -> Run:
        """The run that the step is given. Raises SettingsError."""
        run = open_run(self.pipeline, context["run_id"], window_of(context))
        return replace(run, max_tries=context["ti"].max_tries)

    def resume(self, context: Any, event: Json) -> Json:
        """Continue after the wait: return the result, or raise the error that ended the trigger."""
        if "outcome" in event:
            return _finish(context, from_json(event["outcome"]))
        kind = getattr(errors, event["kind"], MayflyError)
        if issubclass(kind, NO_RETRY):
            raise AirflowFailException(event["message"])
        raise kind(event["message"])

    def _wait(self, waiting: Waiting, run: Run) -> NoReturn:
        log.info("waiting: %s", waiting.what)
        self.defer(
            trigger=StepTrigger(
                step=to_json(self.step),
                pipeline=to_json(self.pipeline),
                run_id=run.run_id,
                window=to_json(run.window),
                state=waiting.state,
                poll_s=waiting.poll_s,
                max_tries=run.max_tries,
            ),
            method_name="resume",
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
        max_tries: int = 0,  # the version before deferred without it
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
        }
        self._step: Step = from_json(step)
        self._state = state
        self._poll_s = poll_s

    def serialize(self) -> tuple[str, Json]:
        return "operators.step.StepTrigger", self._arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        budget = TransientBudget(SystemClock())
        run: Run | None = None
        pause_s = max(self._poll_s, _FIRST_POLL_S)
        while True:
            await asyncio.sleep(pause_s)
            try:
                # Each poll blocks on the network: in a thread, so that it holds up no other trigger.
                if run is None:
                    run = await asyncio.to_thread(self._open_run)
                outcome = await asyncio.to_thread(self._step.poll, run, self._state)
            except Exception as error:  # noqa: BLE001  whatever it is, the task must fail with it
                if budget.allows(error):
                    log.warning("the poll failed and is repeated: %s", error)
                    continue
                yield TriggerEvent(_error_event(error))
                return
            budget.reset()
            if not isinstance(outcome, Waiting):
                yield TriggerEvent({"outcome": to_json(outcome)})
                return
            self._state, pause_s = outcome.state, outcome.poll_s

    async def on_kill(self) -> None:
        run = await asyncio.to_thread(self._open_run)
        await asyncio.to_thread(self._step.cancel, run, self._state)

    def _open_run(self) -> Run:
        pipeline: Pipeline = from_json(self._arguments["pipeline"])
        window: Window = from_json(self._arguments["window"])
        run = open_run(pipeline, str(self._arguments["run_id"]), window)
        return replace(run, max_tries=self._arguments["max_tries"])


def _finish(context: Any, outcome: Done | Failed) -> Json:
    """The step's result; of a failed step it is kept as XCom, too, before the error is raised."""
    if isinstance(outcome, Done):
        return outcome.result
    context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=outcome.result)
    raise AirflowFailException(outcome.message)


def _error_event(error: Exception) -> Json:
    """The error as the trigger's event, which `resume` raises again in the worker."""
    if isinstance(error, MayflyError):
        return {"kind": type(error).__name__, "message": str(error)}
    log.error("unexpected error while waiting", exc_info=error)
    return {"kind": "MayflyError", "message": f"{type(error).__name__}: {error}"}
