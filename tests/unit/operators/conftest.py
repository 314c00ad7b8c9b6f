"""A step whose outcomes a test sets, and runs without AWS behind them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.polling import SystemClock
from airflow_lib.settings import parse_settings
from airflow_lib.steps import Run, Services
from airflow_lib.steps.release import ReleaseSlot
from tests.unit.operators.context import VARIABLES, Task


@pytest.fixture
def context() -> dict[str, Any]:
    return {
        "run_id": "run1",
        "ti": Task(),
        "params": {"window_start": "2016-04-01", "window_end": "2016-05-01"},
        "dag_run": SimpleNamespace(data_interval_start=None, data_interval_end=None, run_type="manual"),
    }


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Window]]:
    """The runs that were opened, none of which has AWS behind it."""
    import operators.plan_and_verdict
    import operators.report
    import operators.step

    made: list[tuple[str, Window]] = []

    def open_run(pipeline: Pipeline, run_id: str, window: Window) -> Run:
        made.append((run_id, window))
        services = Services(aws=Aws(None), clock=SystemClock(), find_livy=None, open_livy=None)  # type: ignore[arg-type]
        return Run(pipeline, run_id, window, parse_settings(VARIABLES), services)

    monkeypatch.setattr(operators.step, "open_run", open_run)
    monkeypatch.setattr(operators.plan_and_verdict, "open_run", open_run)
    monkeypatch.setattr(operators.report, "open_run", open_run)
    return made


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Lets the step's `begin` and `poll` give these outcomes in turn (errors are raised); the calls it met."""

    def use(*outcomes: Any) -> list[Any]:
        calls: list[Any] = []
        left = list(outcomes)

        def answer(self: ReleaseSlot, run: Run, *state: Any) -> Any:
            calls.append(state[0] if state else "begin")
            outcome = left.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(ReleaseSlot, "begin", answer)
        monkeypatch.setattr(ReleaseSlot, "poll", answer)
        monkeypatch.setattr(ReleaseSlot, "cancel", lambda _, run, state: calls.append(("cancel", state)))
        return calls

    return use
