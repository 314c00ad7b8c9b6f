"""OpenLineage is told only where somebody wants it, and never at a task's cost."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.errors import OutputError
from airflow_lib.steps import Done, Run
from airflow_lib.steps.load import LoadWindow
from operators import lineage
from operators.lineage import note_lineage
from operators.step import StepOperator
from tests.unit.operators.context import PIPELINE, STEP

STEP_TOLD = LoadWindow()


def never() -> Run:
    raise AssertionError("the run was opened")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport is configured."""
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", '{"type": "console"}')


def test_without_a_transport_nothing_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLINEAGE__TRANSPORT", raising=False)
    assert note_lineage(never, STEP_TOLD, {}) is None


@pytest.mark.usefixtures("told")
def test_without_the_provider_nothing_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.conf", None)
    assert note_lineage(never, STEP_TOLD, {}) is None


@pytest.mark.usefixtures("told")
def test_a_step_that_reads_and_writes_no_data_for_good_opens_nothing() -> None:
    assert note_lineage(never, STEP, {}) is None


@pytest.mark.usefixtures("told")
def test_what_cannot_be_found_out_is_logged_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Run:
        raise OutputError("the manifest is gone")

    assert note_lineage(refuse, STEP_TOLD, {}) is None
    assert "the manifest is gone" in caplog.text


def test_the_operator_tells_what_was_put_together_when_its_step_was_done(
    opened: list[Any],
    script: Callable[..., list[Any]],
    context: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from operators import step as module

    monkeypatch.setattr(module, "note_lineage", lambda open_run, step, result: (step, result))
    script(Done({"rows": 3}))
    operator = StepOperator(task_id="load", pipeline=PIPELINE, step=STEP, custom_operator_name="Load")
    assert operator.get_openlineage_facets_on_complete(None) is None
    operator.execute(context)
    assert operator.get_openlineage_facets_on_complete(None) == (STEP, {"rows": 3})


def test_nothing_else_imports_the_provider_which_a_deployment_may_not_have() -> None:
    plugins = Path(lineage.__file__).parents[1]
    importing = re.compile(r"^\s*(from|import) .*(openlineage|lineage_datasets)", re.MULTILINE)
    found = {path.stem for path in plugins.rglob("*.py") if importing.search(path.read_text())}
    assert found == {"lineage", "lineage_datasets"}
    at_import = [line for line in Path(lineage.__file__).read_text().splitlines() if importing.match(line)]
    assert all(line.startswith("    ") for line in at_import)
