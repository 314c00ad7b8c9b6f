"""Measures a backfill of a month on real files in real Airflow, and where the time of one run goes.

The clusters of the measured single run take as long to come up as the delays below say, a tenth of AWS's; those of the
backfill as long as the sandbox's own take. `docs/backfill-report.md` is what `render` makes of the figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from bench.hops import Hop, critical_path, seconds_covered
from bench.measuring import ROOT
from sandbox.account import Account
from sandbox.airflow.browser import open_ui
from sandbox.airflow.client import AirflowClient, TaskRun
from sandbox.backfill import use_of_clusters
from sandbox.errors import NoBrowser
from sandbox.processes import Child
from sandbox.state import Running

DAG = "immigration"
FIRST = date(2016, 4, 1)
PICTURE = ROOT / "docs" / "pictures" / "backfill-grid.png"
REPORT = ROOT / "docs" / "backfill-report.md"
DELAYS = {"emr_s": 60, "redshift_s": 40}
FEWER_CHECKS = ROOT / "tests" / "sandbox" / "short_dags"

_NET = os.environ.get("SANDBOX_NET", "252")
_START_S, _RUN_S, _POLL_S = 300.0, 3600.0, 0.5
_OF_EMR = "transform."
_OF_REDSHIFT = ("load.", "verify.", "answers.")
_RELEASES = "release_"
_OVER = ("success", "failed")

Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A running sandbox, and how commands reach it."""

    client: AirflowClient
    account: Account
    running: Running
    environment: Mapping[str, str]


def measure(source: Path, days: int, days_alone: int) -> Json:
    """The figures of a backfill of so many days, of so many with a cluster each, and of single runs with slow clusters.

    The grid's picture is written on the way. Raises SystemExit with the end of the output where anything is red.
    """
    with _sandbox(ROOT / "dags") as place:
        shared = _backfill(place, source, days)
        _take_picture(place)
        alone = _backfill(
            place, source, days_alone, "--reprocess", "completed", "--force", "--keep-alive", "0"
        )
        single = _slow_run(place)
    with _sandbox(FEWER_CHECKS) as place:
        place.account.replace_source(DAG, source)
        fewer = _slow_run(place)
    return {"backfill": shared, "a cluster each": alone, "one run": single, "fewer checks": fewer}


@contextlib.contextmanager
def _sandbox(dags: Path) -> Iterator[Place]:
    """A new sandbox in a directory of its own, which is removed."""
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        home = Path(scratch) / "home"
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}",
            "SANDBOX_HOME": str(home),
            "SANDBOX_NET": _NET,
            "SANDBOX_DAGS": str(dags),
        }
        command = [sys.executable, "-m", "sandbox", "up"]
        child = Child(
            command, name="sandbox", log=Path(scratch) / "up.log", environment=environment, cwd=ROOT
        )
        try:
            running = _wait_for_start(child, home / "running.json")
            client = AirflowClient(str(running.airflow_url), str(running.user), str(running.password))
            yield Place(client, Account(running.aws_url), running, environment)
        finally:
            child.stop(timeout_s=60)


def _wait_for_start(child: Child, file: Path) -> Running:
    deadline = time.monotonic() + _START_S
    while child.alive and time.monotonic() < deadline:
        if file.exists() and (running := Running(**json.loads(file.read_text()))).serves_runs:
            return running
        time.sleep(_POLL_S)
    raise SystemExit(f"The sandbox did not start:\n{child.log_tail()}")


def _backfill(place: Place, source: Path, days: int, *options: str) -> Json:
    """The figures of one backfill of the first so many days of April, one run at a time."""
    last = FIRST + timedelta(days=days - 1)
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        file = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "sandbox", "backfill", DAG, "--source", str(source), *options]
        command += ["--from", FIRST.isoformat(), "--to", last.isoformat(), "--report", str(file)]
        done = subprocess.run(
            command, env=place.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"The backfill is red:\n{(done.stdout + done.stderr)[-3000:]}")
        report = json.loads(file.read_text())
    tasks = [task for run in report["runs"] for task in place.client.tasks(DAG, run["run_id"])]
    return {
        "days": days,
        "loaded": sum("rows in" in run["did"] and " 0 rows" not in run["did"] for run in report["runs"]),
        "wall_s": round(report["wall_s"]),
        **_use(report["clusters"], tasks),
        "calls_per_cluster_minute": _rate(report["calls"], report["clusters"]),
    }


def _use(clusters: Mapping[str, Mapping[str, float]], tasks: Sequence[TaskRun]) -> Json:
    """Clusters made, seconds billed, and seconds in which a task used one."""
    used = {
        "emr": _covered(tasks, (_OF_EMR,)),
        "redshift": _covered(tasks, _OF_REDSHIFT),
    }
    billed = sum(use["seconds"] for use in clusters.values())
    return {
        **{f"{kind}_made": use["made"] for kind, use in clusters.items()},
        **{f"{kind}_billed_s": round(use["seconds"]) for kind, use in clusters.items()},
        **{f"{kind}_used_s": round(seconds) for kind, seconds in used.items()},
        "billed_to_used": round(billed / max(sum(used.values()), 1.0), 2),
    }


def _covered(tasks: Sequence[TaskRun], prefixes: tuple[str, ...]) -> float:
    return seconds_covered(
        [
            (task.start, task.end)
            for task in tasks
            if task.start and task.end and task.task_id.startswith(prefixes) and _RELEASES not in task.task_id
        ]
    )


def _rate(calls: Mapping[str, int], clusters: Mapping[str, Mapping[str, float]]) -> float:
    minutes = sum(use["seconds"] for use in clusters.values()) / 60
    return round(sum(calls.values()) / max(minutes, 1 / 60), 1)


def _slow_run(place: Place) -> Json:
    """One run over April that computes all, its clusters as slow to come up as DELAYS says."""
    http = requests.Session()
    http.trust_env = False
    http.post(f"{place.account.aws_url}/_sandbox/delays", json=DELAYS, timeout=30).raise_for_status()
    since = place.account.calls_so_far()
    conf = {"window_start": "2016-04-01", "window_end": "2016-05-01", "force": True}
    while place.client.find_dag(DAG) is None:
        time.sleep(_POLL_S)
    run_id = place.client.trigger(DAG, conf)
    deadline = time.monotonic() + _RUN_S
    while (run := place.client.run(DAG, run_id))["state"] not in _OVER and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if run["state"] != "success":
        raise SystemExit(f"The run is {run['state']}.")
    begun, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    tasks = place.client.tasks(DAG, run_id)
    hops = critical_path(tasks, place.client.upstream_of(DAG), begun)
    wall_s = (ended - begun).total_seconds()
    clusters = {kind: asdict(use) for kind, use in use_of_clusters(place.account.list_calls(since)).items()}
    calls = place.account.count_calls(since, principal_only=True)
    return {
        "tasks": len(tasks),
        "wall_s": round(wall_s, 1),
        "critical_path_s": round(sum(hop.working_s for hop in hops), 1),
        "wall_to_critical_path": round(wall_s / sum(hop.working_s for hop in hops), 2),
        "after_the_last_task_s": round(wall_s - sum(map(_length, hops)), 1),
        "calls_per_cluster_minute": _rate(calls, clusters),
        "hops": [asdict(hop) for hop in hops],
    }


def _length(hop: Hop) -> float:
    return hop.scheduling_s + hop.starting_s + hop.working_s


def _take_picture(place: Place) -> None:
    """The grid of the DAG's runs as the UI shows it."""
    running = place.running
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as profile:
        try:
            with open_ui(
                str(running.airflow_url), str(running.user), str(running.password), Path(profile)
            ) as page:
                page.goto(f"{running.airflow_url}/dags/{DAG}")
                page.get_by_text("verdict").first.wait_for()
                page.wait_for_timeout(5000)  # the runs' states come after the tasks' names
                PICTURE.parent.mkdir(exist_ok=True)
                page.screenshot(path=PICTURE)
        except NoBrowser as error:
            print(f"no picture of the grid: {error}")


def render(figures: Mapping[str, Any], when: str) -> str:
    """The report as Markdown."""
    shared, alone = figures["backfill"], figures["a cluster each"]
    rows = [(key, shared[key], alone.get(key, "")) for key in shared]
    lines = [
        "# A backfill of a month",
        "",
        (
            f"`python -m bench backfill_days --source DIR`, {when}, one run at a time, LocalExecutor; "
            f"machine: {figures['machine']['cpus']} cores, load average {figures['machine']['load_before']} before. "
            "Nothing here is a test."
        ),
        "",
        *([f"![The grid of the backfill](pictures/{PICTURE.name})", ""] if PICTURE.exists() else []),
        "| | the backfill | the first days again, each with clusters of its own |",
        "|---|---|---|",
        *(f"| {key.replace('_', ' ')} | {value} | {other} |" for key, value, other in rows),
        "",
        "`used`: seconds in which a Spark session (EMR) or a statement (Redshift) was under way or waited for.",
        "",
    ]
    for name in ("one run", "fewer checks"):
        lines += _render_run(name, figures[name])
    return "\n".join(lines)


def _render_run(name: str, figures: Mapping[str, Any]) -> list[str]:
    return [
        f"## {name.capitalize()}: EMR {DELAYS['emr_s']} s and Redshift {DELAYS['redshift_s']} s to come up",
        "",
        (
            f"{figures['tasks']} tasks, wall {figures['wall_s']} s, critical path {figures['critical_path_s']} s: "
            f"**{figures['wall_to_critical_path']}**. "
            f"{figures['calls_per_cluster_minute']} AWS calls a cluster-minute. "
            f"{figures['after_the_last_task_s']} s from the last task's end to the run's."
        ),
        "",
        "| task | s until it is queued | s until it begins | s of work |",
        "|---|---|---|---|",
        *(
            f"| {hop['task']} | {hop['scheduling_s']:.1f} | {hop['starting_s']:.1f} | {hop['working_s']:.1f} |"
            for hop in figures["hops"]
        ),
        "",
    ]
