"""The event of a verified load: whose it is, what it tells, and when there is none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_lib.steps import Done, Failed
from operators.assets import answer_asset, table_asset
from operators.step import StepOperator
from tests.unit.operators.context import PIPELINE, STEP, Task

Script = Callable[..., list[Any]]
ROWS = {"total": 9, "rows": 4, "before": 3}
OF_THE_RUN = {"window_start": "2016-04-01", "window_end": "2016-05-01", "run": "run1"}


@pytest.fixture
def execute(opened: list[Any], script: Script, context: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """`execute(asset, outcome)`: what the events tell, by URI, of a task whose step comes to this."""

    def run(asset: Asset, outcome: Done | Failed, results: dict[str, Any] | None = None) -> dict[str, Any]:
        script(outcome)
        context.update(ti=Task(results=results), outlet_events=OutletEventAccessors())
        task = StepOperator(
            task_id="task", pipeline=PIPELINE, step=STEP, custom_operator_name="Checks", outlets=[asset]
        )
        with suppress(AirflowFailException, DownstreamTasksSkipped):
            task.execute(context)
        events = context["outlet_events"]
        return {one.uri: events[one].extra for one in events}

    return run


def test_a_verified_table_tells_its_window_its_run_and_the_rows_that_the_load_has_counted(
    execute: Callable[..., Any],
) -> None:
    loaded = {"load.load_window": {"tables": {"rents": ROWS, "flats": {"total": 1}}}}
    assert execute(table_asset(PIPELINE, "rents"), Done({"checks": []}), loaded) == {
        "mayfly://immigration/tables/rents": {**OF_THE_RUN, "rows": ROWS}
    }


def test_a_table_without_checks_is_told_by_its_load(execute: Callable[..., Any]) -> None:
    assert execute(table_asset(PIPELINE, "rents"), Done({"tables": {"rents": ROWS}})) == {
        "mayfly://immigration/tables/rents": {**OF_THE_RUN, "rows": ROWS}
    }


def test_an_answer_tells_how_many_rows_it_has(execute: Callable[..., Any]) -> None:
    assert execute(answer_asset(PIPELINE, "rents"), Done({"row_count": 0})) == {
        "mayfly://immigration/answers/rents": {**OF_THE_RUN, "rows": {"total": 0}}
    }


@pytest.mark.parametrize("loaded", [None, "a", {}, {"tables": None}, {"tables": {"other": ROWS}}])
def test_rows_that_the_load_did_not_tell_are_left_out(execute: Callable[..., Any], loaded: Any) -> None:
    told = execute(table_asset(PIPELINE, "rents"), Done({"checks": []}), {"load.load_window": loaded})
    assert told == {"mayfly://immigration/tables/rents": OF_THE_RUN}


def test_a_load_that_cannot_be_read_does_not_fail_a_verified_table(
    execute: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(Task, "xcom_pull", refuse)
    told = execute(table_asset(PIPELINE, "rents"), Done({"checks": []}))
    assert told == {"mayfly://immigration/tables/rents": OF_THE_RUN}


@pytest.mark.parametrize("outcome", [Failed({}, "rows fail"), Done({}, nothing_to_do="held already")])
def test_what_failed_or_had_nothing_to_do_tells_nothing(
    execute: Callable[..., Any], outcome: Done | Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StepOperator, "list_idle", lambda *_, **__: [])
    assert execute(table_asset(PIPELINE, "rents"), outcome) == {}


def test_airflow_makes_events_of_tasks_that_succeeded_and_of_no_others() -> None:
    """The contract that a red table's silence rests on, in Airflow's own words (3.3)."""
    with_outlets = [
        name
        for name, function in vars(task_runner).items()
        if "_build_asset_profiles(" in _source(function) and name != "_build_asset_profiles"
    ]
    assert with_outlets == ["_handle_current_task_success"]


def _source(function: Any) -> str:
    return inspect.getsource(function) if inspect.isfunction(function) else ""
