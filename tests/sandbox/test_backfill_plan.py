"""A backfill is planned, started through Airflow's API, and then there is nothing to do: in real Airflow.

What its Spark jobs tell meanwhile is looked at, too: this run has their logs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ended_runs import sandbox_with_source
from live_runs import DAG, LiveRuns
from sandbox_process import ROOT

from airflow_lib.backfill.airflow_api import PASSWORD, URL, USER
from airflow_lib.janitor import SETTINGS_FILE
from sandbox.account import variables
from sandbox.state import Running

# Ten minutes and more beside the other runs in Airflow: with `make chaos`, until they have room in `make test`.
pytestmark = [pytest.mark.sandbox, pytest.mark.chaos, pytest.mark.timeout(900)]

SHORT_DAGS = Path(__file__).parent / "short_dags"
DAYS = ("--from", "2016-04-01", "--to", "2016-04-03")
_COMMAND_S = 180


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRuns]:
    yield from sandbox_with_source(tmp_path_factory.mktemp("plan") / "home", dags=SHORT_DAGS)


def backfill(runs: LiveRuns, folder: Path, command: str) -> tuple[int, list[str]]:
    """Run the command as a person does, on a host that has Airflow and the DAG files: exit code and lines."""
    running = Running(**json.loads((runs.sandbox.home / "running.json").read_text()))
    known = variables()
    content: dict[str, Any] = {
        "aws_region": known["aws_region"],
        "aws_credentials": json.loads(known["aws_credentials"]),
        "mayfly": runs.settings(),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="mayfly-backfill-") as file:
        json.dump(content, file)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "airflow_lib.backfill", command, DAG, *DAYS],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
                "AIRFLOW_HOME": str(folder),
                "AIRFLOW__CORE__DAGS_FOLDER": str(SHORT_DAGS),
                SETTINGS_FILE: file.name,
                "AWS_ENDPOINT_URL": runs.account.aws_url,
                "AWS_EC2_METADATA_DISABLED": "true",
                URL: str(running.airflow_url),
                USER: str(running.user),
                PASSWORD: str(running.password),
            },
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
    told = done.stdout + done.stderr
    assert str(running.password) not in told
    return done.returncode, told.splitlines()


def test_what_is_planned_is_started_and_then_there_is_nothing_to_do(runs: LiveRuns, tmp_path: Path) -> None:
    code, told = backfill(runs, tmp_path, "plan")
    assert (code, told[0]) == (
        1,
        "2016-04-01 to 2016-04-03 (3 days): not loaded as it would be now: never loaded",
    )
    assert told[1] == "to load: 2016-04-01 to 2016-04-03 (3 days)"

    code, told = backfill(runs, tmp_path, "run")
    assert code == 0, told
    run_id = told[-1].removeprefix("started: run ")
    assert run_id.startswith("backfill-2016-04-01-2016-04-04-")
    assert runs.wait_for_run(run_id) == "success"
    assert runs.left() == []

    code, told = backfill(runs, tmp_path, "plan")
    assert (code, told[-1]) == (0, "nothing to do"), told
    assert f"(3 days): loaded: loaded by run {run_id} at 2" in told[0]
    assert backfill(runs, tmp_path, "run")[0] == 0
    assert [one["dag_run_id"] for one in runs.request("GET", f"/dags/{DAG}/dagRuns")["dag_runs"]] == [run_id]

    log = runs.log(run_id, "transform.arrivals")
    assert re.search(r"session \S+ has started, after \d+ s", log), log
    assert re.search(r"job arrivals: stage \d+ of \d+ so far.*, 2,000 rows read, [\d,]+ written", log), log
    assert "NativeCodeLoader" not in log
    assert " %" not in log
