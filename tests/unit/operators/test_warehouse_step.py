"""Airflow's UI shows the statements that a task has sent to the warehouse."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields

from airflow_lib.errors import WarehouseError
from airflow_lib.steps import Done, Outcome, Run, Waiting
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.serialization import to_json
from airflow_lib.warehouse.sql import Script
from airflow_lib.warehouse.statement_log import record
from operators.warehouse_step import NOT_YET, WarehouseStepOperator
from tests.unit.operators.context import PIPELINE, STEP

COPY = Script("COPY a FROM 's3://{{ this }}'", "sql_templates/shared/copy.sql")
SHOWN = "-- sql_templates/shared/copy.sql\nCOPY a FROM 's3://{{ this }}';"


@pytest.fixture
def operator() -> WarehouseStepOperator:
    return WarehouseStepOperator(task_id="copy", pipeline=PIPELINE, step=STEP, custom_operator_name="COPY")


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch, opened: list[Any]) -> Any:
    """Lets the step send a COPY, and then give this outcome, or raise it."""

    def use(outcome: Outcome | BaseException) -> None:
        def begin(self: ReleaseSlot, run: Run) -> Outcome:
            record(COPY, COPY)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(ReleaseSlot, "begin", begin)

    return use


def shown(operator: WarehouseStepOperator) -> Any:
    """What Airflow keeps for its tab "Rendered Templates"."""
    return _serialize_rendered_fields(operator)["sql"]


def test_airflow_keeps_the_field_anew_when_the_process_of_the_task_ends(
    operator: WarehouseStepOperator,
) -> None:
    source = inspect.getsource(task_runner.finalize)
    assert 'getattr(ti.task, "overwrite_rtif_after_execution", False)' in source
    assert operator.overwrite_rtif_after_execution
    assert operator.template_fields == ("sql",)
    assert operator.template_fields_renderers == {"sql": "sql"}


def test_before_the_task_has_run_the_field_says_that_it_has_not(operator: WarehouseStepOperator) -> None:
    operator.render_template_fields({})
    assert shown(operator) == NOT_YET


def test_what_was_sent_is_shown_as_it_was_sent(
    operator: WarehouseStepOperator, sends: Any, context: dict[str, Any]
) -> None:
    sends(Done({"rows": 3}))
    operator.execute(context)
    assert shown(operator) == SHOWN


def test_what_was_sent_before_the_task_failed_is_shown(
    operator: WarehouseStepOperator, sends: Any, context: dict[str, Any]
) -> None:
    sends(WarehouseError("no such column"))
    with pytest.raises(WarehouseError):
        operator.execute(context)
    assert shown(operator) == SHOWN


def test_what_was_sent_before_the_task_waited_is_shown_after_the_wait(
    operator: WarehouseStepOperator, sends: Any, context: dict[str, Any]
) -> None:
    sends(Waiting("a role", {}, 5))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    assert shown(operator) == SHOWN

    resumed = WarehouseStepOperator(task_id="copy", pipeline=PIPELINE, step=STEP, custom_operator_name="COPY")
    resumed.resume(context, _event(), **deferred.value.kwargs)
    assert shown(resumed) == SHOWN


def test_a_task_that_the_version_before_deferred_is_resumed(
    operator: WarehouseStepOperator, context: dict[str, Any]
) -> None:
    assert operator.resume(context, _event()) == {"rows": 3}
    assert shown(operator) == NOT_YET


def test_a_task_that_sent_nothing_says_so(
    operator: WarehouseStepOperator, script: Any, opened: list[Any], context: dict[str, Any]
) -> None:
    script(Done({"rows": 3}))
    operator.execute(context)
    assert shown(operator) == NOT_YET


def _event() -> dict[str, Any]:
    return {"outcome": to_json(Done({"rows": 3}))}
