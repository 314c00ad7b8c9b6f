"""The pipeline of docs/add-a-pipeline.md, built as the page has it, in a copy of the checkout, and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
from nets import unused_net
from sandbox_process import ROOT

from tests.add_a_pipeline import write_pipeline

pytestmark = pytest.mark.sandbox

FOLDERS = ("plugins", "sparkjobs", "sql_templates", "sandbox", "docs")
_RUN_S = 280
SOURCE = {
    "readings-1.csv": "station,day,celsius\nKEW,2026-01-01,4.5\nKEW,2026-01-02,7.5\n"
    "OBN,2026-01-01,\nOBN,2026-01-02,6\n",
    "readings-2.csv": "day,station,celsius\n2026-01-03,OBN,8.25\n2026-01-03,KEW,warm\n",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a run in a checkout that has the page's pipeline and no other."""
    checkout = tmp_path_factory.mktemp("checkout")
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "immigration")
        shutil.copytree(ROOT / folder, checkout / folder, ignore=ignored)
    write_pipeline(checkout)
    source = checkout / "input"
    source.mkdir()
    for name, text in SOURCE.items():
        (source / name).write_text(text)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{checkout / 'plugins'}:{checkout}",
        "SANDBOX_HOME": str(checkout / "home"),
        "SANDBOX_NET": str(unused_net()),
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
