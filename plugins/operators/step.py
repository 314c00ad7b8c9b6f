"""One operator and one trigger that carry any step of the library through Airflow.

The worker begins a step; while it waits, the triggerer polls it, so no worker slot is held.
What a step does is in `airflow_lib.steps`; nothing of that is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_lib import errors
from airflow_lib.errors import (
    DeclarationError,
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

# Another try would meet the same words, or wait as long again: a person has to change something first.
NO_RETRY = (SettingsError, DeclarationError, SourceError, TerminalState, WaitTimeout, RowsLost)


# A trigger that fires before the scheduler has heard of the deferred process's end makes it take the resumed task
# for one that was killed (scheduler_job_runner.process_executor_events, Airflow 3.3).
_FIRST_POLL_S = 3.0


class StepOperator(BaseOperator):
    """Begins a step, defers while it waits, and returns the step's result (JSON, kept as XCom)."""

    def __init__(self, *, pipeline: Pipeline, step: Step, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.step = step

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
        """The run as the step is told of it. Raises SettingsError."""
        return open_run(self.pipeline, context["run_id"], window_of(context))

    def resume(self, context: Any, event: Json) -> Json:
        """Go on after the wait: return the result, or raise what the trigger met."""
        if "outcome" in event:
            return _finish(context, from_json(event["outcome"]))
        kind = getattr(errors, event["kind"], MayflyError)
        if issubclass(kind, NO_RETRY):
            raise AirflowFailException(event["message"])
        raise kind(event["message"])

    def _wait(self, waiting: Waiting, run: Run) -> NoReturn:
        log.info("waiting for %s", waiting.what)
        self.defer(
            trigger=StepTrigger(
                step=to_json(self.step),
                pipeline=to_json(self.pipeline),
                run_id=run.run_id,
                window=to_json(run.window),
                state=waiting.state,
                poll_s=waiting.poll_s,
            ),
            method_name="resume",
        )


class StepTrigger(BaseTrigger):
    """Polls a step until it is done or fails; `on_kill` ends what belongs to this run alone."""

    def __init__(self, *, step: Json, pipeline: Json, run_id: str, window: Json, state: Json, poll_s: float):
        super().__init__()
        self._arguments = {
            "step": step,
            "pipeline": pipeline,
            "run_id": run_id,
            "window": window,
            "state": state,
            "poll_s": poll_s,
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
                run = run or await asyncio.to_thread(self._open_run)
                outcome = await asyncio.to_thread(self._step.poll, run, self._state)
            except Exception as error:  # noqa: BLE001  whatever it is, the task must hear of it
                if budget.allows(error):
                    log.warning("asking again: %s", error)
                    continue
                yield TriggerEvent(_failure(error))
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
        return open_run(pipeline, str(self._arguments["run_id"]), window)


def _finish(context: Any, outcome: Done | Failed) -> Json:
    """The result; where the step failed it is kept too, before the error is raised."""
    if isinstance(outcome, Done):
        return outcome.result
    context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=outcome.result)
    raise AirflowFailException(outcome.message)


def _failure(error: Exception) -> Json:
    if isinstance(error, MayflyError):
        return {"kind": type(error).__name__, "message": str(error)}
    log.error("unexpected error while waiting", exc_info=error)
    return {"kind": "MayflyError", "message": f"{type(error).__name__}: {error}"}
