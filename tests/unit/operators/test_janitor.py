"""The janitor's task returns what its pass found, and fails where anything failed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.settings import parse_settings
from operators import janitor as module
from operators.janitor import JanitorOperator
from tests.unit.operators.context import VARIABLES

RunPass = Callable[[list[str], list[str]], Any]


@pytest.fixture
def run_pass(monkeypatch: pytest.MonkeyPatch) -> RunPass:
    """`run_pass(findings, errors)`: the task's result, of a pass over one environment."""

    def execute(findings: list[str], errors: list[str]) -> Any:
        holder = SimpleNamespace(environment=SimpleNamespace(name="dev-flats"))
        swept = SimpleNamespace(holder=holder, findings=findings, errors=errors)
        monkeypatch.setattr(module, "read_settings", lambda: parse_settings(VARIABLES))
        monkeypatch.setattr(
            module, "open_services", lambda settings: SimpleNamespace(aws="aws", clock="clock")
        )
        monkeypatch.setattr(module, "make_pass", lambda settings, aws, clock, sleep, tell: [swept])
        return JanitorOperator(task_id="pass").execute({})

    return execute


@pytest.mark.parametrize(
    ("findings", "found"), [([], {}), (["a role; removed"], {"dev-flats": ["a role; removed"]})]
)
def test_what_was_found_is_the_result(run_pass: RunPass, findings: list[str], found: dict[str, Any]) -> None:
    assert run_pass(findings, []) == {"environments": 1, "found": found}


def test_an_error_fails_the_task_and_names_its_environment(run_pass: RunPass) -> None:
    with pytest.raises(AirflowFailException, match="dev-flats: denied"):
        run_pass(["a role; could not be removed"], ["denied"])


def test_a_notifier_that_cannot_be_made_fails_the_pass_once_it_was_made(
    run_pass: RunPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "list_mistakes", lambda _: ["notify.notifiers.0: no such class"])
    with pytest.raises(AirflowFailException, match=r"notify\.notifiers\.0: no such class"):
        run_pass([], [])


def test_what_the_pass_finds_is_told_with_the_tasks_context(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(module, "read_settings", lambda: parse_settings(VARIABLES))
    monkeypatch.setattr(module, "open_services", lambda _: SimpleNamespace(aws="aws", clock="clock"))
    monkeypatch.setattr(module, "tell", lambda *arguments: told.append(arguments))
    monkeypatch.setattr(module, "make_pass", lambda *_, tell, **__: tell("holder", "notice") or [])
    JanitorOperator(task_id="pass").execute({"run_id": "run1"})
    assert told == [({"run_id": "run1"}, "holder", "notice")]
