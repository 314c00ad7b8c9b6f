"""The janitor's task returns what its pass found, and fails where anything failed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from operators import janitor as module
from operators.janitor import JanitorOperator

RunPass = Callable[[list[str], list[str]], Any]


@pytest.fixture
def run_pass(monkeypatch: pytest.MonkeyPatch) -> RunPass:
    """`run_pass(findings, errors)`: the task's result, of a pass over one environment."""

    def execute(findings: list[str], errors: list[str]) -> Any:
        holder = SimpleNamespace(environment=SimpleNamespace(name="dev-flats"))
        swept = SimpleNamespace(holder=holder, findings=findings, errors=errors)
        monkeypatch.setattr(module, "read_settings", lambda: "settings")
        monkeypatch.setattr(
            module, "open_services", lambda settings: SimpleNamespace(aws="aws", clock="clock")
        )
        monkeypatch.setattr(module, "make_pass", lambda settings, aws, clock, sleep: [swept])
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
