"""A checkout whose only pipeline is another than immigration: the general tests pass, and they test that one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.conftest import ROOT
from tests.dags.flats import write_checkout

IMMIGRATION = "*immigration*"  # its DAG file, jobs and SQL, and the tests that bear its name
GENERAL = ("tests/dags", "tests/sql")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folders = ("dags", "plugins", "sparkjobs", "sql_templates", "tests/dags", "tests/sql")
    for folder in folders:
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(IMMIGRATION, "__pycache__")
        )
    for file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "tests/dags" / Path(__file__).name).unlink()
    write_checkout(tmp_path)
    return tmp_path


def test_the_general_tests_pass_without_immigration_and_test_the_pipeline_that_is_there(
    checkout: Path,
) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTEST", "PYTHONPATH"))
    }
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *GENERAL],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-10_000:]
    for name in (
        "the_parts_come_in_order",
        "run_of_what_a_session_calls_it_with",
        "a_load_fills_every_column",
    ):
        assert any(name in line and "[lettings] PASSED" in line for line in result.stdout.splitlines()), name
    assert "SKIPPED" not in result.stdout
