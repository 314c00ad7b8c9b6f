"""Questions and their answers."""

from __future__ import annotations

import pytest

from airflow_lib.steps import Run, answer
from airflow_lib.steps.answer import Answer
from airflow_lib.warehouse.cursor import Result
from tests.world import World
from tests.world.walk import drive


def test_an_answer_has_columns_and_rows(world: World, loaded: Run) -> None:
    result = drive(Answer("arrivals_by_airport"), loaded, world).result
    assert result["columns"] == ["code", "city", "arrivals"]
    assert sum(row[2] for row in result["rows"]) == 30


def test_rows_of_an_answer_that_were_left_out_are_counted(
    world: World, loaded: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer.warehouse, "ask", lambda *_: Result(("n",), ((1,), (2,)), left_out=7))
    outcome = drive(Answer("arrivals_by_airport"), loaded, world)
    assert outcome.result == {"columns": ["n"], "rows": [[1], [2]], "rows_left_out": 7}
