"""The pipeline of docs/add-a-pipeline.md, built as the page has it, in a copy of the checkout, and run.

A DAG of somebody else's waits for its tables meanwhile, and Airflow tells OpenLineage of the run, into a file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nets import unused_net
from sandbox_process import ROOT

from sandbox.airflow.configuration import SCHEDULED
from tests.add_a_pipeline import write_pipeline
from tests.unit.operators.openlineage_events import check_event, read_events

pytestmark = pytest.mark.sandbox

FOLDERS = ("plugins", "sparkjobs", "sql_templates", "sandbox", "docs")
_RUN_S = 280
SOURCE = {
    "readings-1.csv": "station,day,celsius\nKEW,2026-01-01,4.5\nKEW,2026-01-02,7.5\n"
    "OBN,2026-01-01,\nOBN,2026-01-02,6\n",
    "readings-2.csv": "day,station,celsius\n2026-01-03,OBN,8.25\n2026-01-03,KEW,warm\n",
}


# Somebody else's DAG: it knows no more of the pipeline than what its tables are called.
DOWNSTREAM = """
import json
from pathlib import Path

from airflow.sdk import DAG, Asset, task

TABLES = [Asset("mayfly://weather/tables/readings"), Asset("mayfly://weather/tables/stations")]

with DAG("downstream", schedule=TABLES, is_paused_upon_creation=False):

    @task
    def tell(triggering_asset_events):
        events = [event for events in triggering_asset_events.values() for event in events]
        told = {event.asset.uri: event.extra for event in events}
        Path("PATH").write_text(json.dumps(told))

    tell()
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkout")


def add_downstream(checkout: Path) -> None:
    """Add a DAG that waits for the pipeline's tables."""
    (checkout / "dags/downstream.py").write_text(
        DOWNSTREAM.replace("PATH", str(checkout / "downstream.json"))
    )


@pytest.fixture(scope="module")
def report(checkout: Path) -> dict[str, Any]:
    """The report of a run in a checkout that has the page's pipeline and no other."""
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "immigration")
        shutil.copytree(ROOT / folder, checkout / folder, ignore=ignored)
    write_pipeline(checkout)
    add_downstream(checkout)
    source = checkout / "input"
    source.mkdir()
    for name, text in SOURCE.items():
        (source / name).write_text(text)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{checkout / 'plugins'}:{checkout}",
        "SANDBOX_HOME": str(checkout / "home"),
        "SANDBOX_NET": str(unused_net()),
        SCHEDULED: "1",  # so that Airflow starts the DAG that waits
        "OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(checkout / "lineage.jsonl"), "append": True}
        ),
    }
    window = ("--window-start", "2026-01-01", "--window-end", "2026-01-02")
    command = ("run", "weather", "--source", str(source), *window, "--report", "report.json")
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *command],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    found: dict[str, Any] = json.loads((checkout / "report.json").read_text())
    return found


def test_the_run_is_green_and_leaves_nothing(report: dict[str, Any]) -> None:
    assert (report["state"], report["inventory"]) == ("success", [])


def test_what_is_no_reading_is_rejected_by_its_reason(report: dict[str, Any]) -> None:
    job = report["jobs"]["readings"]
    assert (job["read"], job["rejected"]) == (6, {"bad_celsius": 2})


def test_its_tables_hold_what_the_files_do_and_its_checks_pass(report: dict[str, Any]) -> None:
    assert {name: rows["total"] for name, rows in report["tables"].items()} == {"readings": 4, "stations": 2}
    assert all(check["passed"] for check in report["checks"])
    assert len(report["checks"]) == 4


def test_its_question_is_answered(report: dict[str, Any]) -> None:
    answer = report["answers"]["warmest_days"]
    assert answer["columns"] == ["day", "celsius"]
    assert answer["rows"] == [["2026-01-03", 8.25], ["2026-01-02", 7.5], ["2026-01-01", 4.5]]


@pytest.mark.usefixtures("report")
def test_a_dag_that_waits_for_its_tables_runs_once_they_are_verified_and_is_told_of_the_load(
    checkout: Path,
) -> None:
    told = json.loads((checkout / "downstream.json").read_text())
    assert {uri: extra["rows"]["total"] for uri, extra in told.items()} == {
        "mayfly://weather/tables/readings": 4,
        "mayfly://weather/tables/stations": 2,
    }
    windows = {(extra["window_start"], extra["window_end"]) for extra in told.values()}
    assert windows == {("2026-01-01", "2026-01-02")}


@pytest.mark.usefixtures("report")
def test_openlineage_is_told_of_the_run_by_valid_events(checkout: Path) -> None:
    """Inputs and outputs with schemas and row counts, each task's event under the run's."""
    events = [(event, check_event(event)) for event in read_events(checkout / "lineage.jsonl")]
    through = {raw["job"]["name"]: event for raw, event in events if raw["eventType"] == "COMPLETE"}
    (job,) = through["weather.transform.readings"].outputs or []
    load = through["weather.load.load_window"]
    assert job.name.endswith("weather/readings/readings")
    assert [one.name for one in load.inputs or []] == [job.name]
    rows = {one.name: one.outputFacets["outputStatistics"].rowCount for one in load.outputs or []}  # type: ignore[index,union-attr]
    assert rows == {"mayfly.public.readings": 4, "mayfly.public.stations": 2}
    runs = {raw["run"]["runId"] for raw, _ in events if raw["job"]["name"] == "weather"}
    parents = {
        raw["run"]["facets"]["parent"]["run"]["runId"]
        for raw, _ in events
        if raw["job"]["name"].startswith("weather.")
    }
    assert len(runs) == 1
    assert parents == runs
