"""A pipeline's declaration is told to commands that import no Airflow: as the DAG files and the deployment have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_lib.backfill.declared import parse_declaration, read_declaration
from airflow_lib.errors import SettingsError
from subdags import deployment
from subdags.declared import find_folder, find_pipeline
from tests.sql.declarations import declared_pipelines

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
DECLARED = declared_pipelines()[0]  # whichever there is
NAME = DECLARED.name


def test_a_pipeline_is_told_as_its_file_declares_it() -> None:
    assert find_pipeline(NAME, DAGS) == DECLARED


def test_what_the_deployment_says_of_its_schedule_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(deployment.SCHEDULES, json.dumps({NAME: {"max_active_runs": 3}}))
    assert find_pipeline(NAME, DAGS).max_active_runs == 3


def test_a_name_that_no_file_declares_is_an_error_that_knows_better() -> None:
    wrong = NAME + "s"
    with pytest.raises(SettingsError, match=rf"declares a pipeline '{wrong}'; did you mean '{NAME}'\?"):
        find_pipeline(wrong, DAGS)


def test_a_file_that_cannot_be_read_matters_only_for_its_own_pipeline(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("from subdags import build_dag\nraise ValueError('broken')\n")
    (tmp_path / "other.py").write_text("raise ValueError('never run: it builds no DAG of ours')\n")
    (tmp_path / f"{NAME}.py").write_text((DAGS / f"{NAME}.py").read_text())
    assert find_pipeline(NAME, tmp_path).name == NAME
    with pytest.raises(SettingsError, match=r"broken\.py: broken") as raised:
        find_pipeline("nothing", tmp_path)
    assert "never run" not in str(raised.value)


def test_a_folder_that_is_not_there_is_the_checkouts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "none"))
    assert find_folder() == DAGS
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    assert find_folder() == tmp_path


def test_the_process_that_is_asked_tells_it(tmp_path: Path) -> None:
    """With a folder of its own for Airflow, where nothing is to be made but Airflow's own file of configuration."""
    environ = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    }
    assert read_declaration(NAME, environ) == DECLARED
    done = subprocess.run(
        [sys.executable, "-m", "subdags.declared", "nothing"],
        env={**environ, "PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "declares a pipeline 'nothing'" in done.stderr
    with pytest.raises(SettingsError):
        parse_declaration("nothing", done.stdout)
