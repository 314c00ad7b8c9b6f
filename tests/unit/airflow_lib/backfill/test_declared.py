"""The declaration comes from a process that imports Airflow; whatever that tells ends in a pipeline or in an error."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib.backfill.airflow_api import PASSWORD, TOKEN
from airflow_lib.backfill.declared import parse_declaration, read_declaration
from airflow_lib.errors import SettingsError
from airflow_lib.steps.serialization import to_json
from tests.world.pipeline import PIPELINE

TOLD = json.dumps(to_json(PIPELINE))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each process was started with; it tells of `PIPELINE`."""
    started: list[dict[str, Any]] = []

    def run(command: list[str], **given: Any) -> Any:
        started.append({"command": command, **given})
        return SimpleNamespace(returncode=0, stdout=f"a plugin says hello\n{TOLD}\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return started


def test_the_last_line_is_the_declaration(asked: list[dict[str, Any]]) -> None:
    assert read_declaration("immigration", {}) == PIPELINE
    assert asked[0]["command"][1:] == ["-m", "subdags.declared", "immigration"]


def test_the_process_has_the_environment_of_airflow_and_no_secret(asked: list[dict[str, Any]]) -> None:
    read_declaration("immigration", {"PYTHONPATH": "/mine", TOKEN: "t", PASSWORD: "p", "TZ": "UTC"})
    environ = asked[0]["env"]
    plugins, mine = environ.pop("PYTHONPATH").split(os.pathsep)
    assert Path(plugins, "subdags/declared.py").is_file()
    assert (mine, environ) == ("/mine", {"TZ": "UTC"})


@pytest.mark.parametrize("name", ["", "-c", "Immigration", "a" * 17, "x; rm"])
def test_what_is_no_pipelines_name_starts_nothing(asked: list[dict[str, Any]], name: str) -> None:
    with pytest.raises(SettingsError, match="is no pipeline's name"):
        read_declaration(name, {})
    assert asked == []


@pytest.mark.parametrize(
    "told",
    [
        "",
        "hello",
        "{}",
        "null",
        json.dumps(to_json(PIPELINE.jobs[0])),
        '{"__kind__": "os:environ"}',
        '{"__kind__": "airflow_lib.pipeline:Pipeline", "name": "immigration"}',
        TOLD.replace('"immigration"', '"other"', 1),
    ],
)
def test_what_is_no_declaration_of_the_pipeline_is_an_error(told: str) -> None:
    with pytest.raises(SettingsError, match="The declaration of immigration cannot be read"):
        parse_declaration("immigration", told)


def test_a_process_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stdout="", stderr="No DAG file declares it")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SettingsError, match="No DAG file declares it\nRun this where Airflow is installed"):
        read_declaration("immigration", {})


def test_a_process_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 300)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(SettingsError, match="timed out after 300 seconds"):
        read_declaration("immigration", {})
