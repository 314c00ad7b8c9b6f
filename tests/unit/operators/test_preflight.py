"""The preflight's operator fails before anything is made where nobody could be told of a red run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.errors import SettingsError
from airflow_lib.steps import Done
from operators import preflight as module
from operators.preflight import PreflightOperator
from tests.unit.operators.context import PIPELINE, STEP


def test_the_preflight_begins_once_every_notifier_can_be_made(
    opened: list[Any], script: Callable[..., list[Any]], context: dict[str, Any]
) -> None:
    calls = script(Done({"objects": 3}))
    operator = PreflightOperator(
        task_id="preflight", pipeline=PIPELINE, step=STEP, custom_operator_name="Preflight"
    )
    assert operator.execute(context) == {"objects": 3}
    assert calls == ["begin"]


def test_a_notifier_that_cannot_be_made_fails_it_before_it_begins_and_is_not_tried_again(
    opened: list[Any],
    script: Callable[..., list[Any]],
    context: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: Any) -> None:
        raise SettingsError("notify.notifiers.0: no such class")

    calls = script()
    monkeypatch.setattr(module, "check_notifiers", refuse)
    operator = PreflightOperator(
        task_id="preflight", pipeline=PIPELINE, step=STEP, custom_operator_name="Preflight"
    )
    with pytest.raises(AirflowFailException, match=r"notify\.notifiers\.0: no such class"):
        operator.execute(context)
    assert calls == []
