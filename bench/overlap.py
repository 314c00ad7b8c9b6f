"""Compares four Livy sessions at the same time with four in sequence, on the embedded Livy."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from bench.measuring import ROOT
from sandbox.addresses import LIVY_PORT, Addresses, check_free
from sandbox.data.immigration import generate
from sandbox.processes import Child

NET = int(os.environ.get("SANDBOX_NET", "251"))  # so that it can run beside a user's sandbox
TIMEOUT_S = 600.0
POLL_S = 0.2
JOBS = {
    "arrivals": ("sas_data/", "I94_SAS_Labels_Descriptions.SAS"),
    "cities": ("us-cities-demographics.csv",),
    "temperature": ("GlobalLandTemperaturesByState.csv",),
    "airports": ("airport-codes_csv.csv", "I94_SAS_Labels_Descriptions.SAS"),
}
STATEMENT = """
import sys
sys.path.insert(0, {root!r})
from sparkjobs.immigration import {job}
{job}.run(spark, {inputs!r}, {targets!r}, {rejected!r}, None)
"""


def measure(rows: int) -> dict[str, Any]:
    """Seconds from the first POST to the end of the last session, for both orders, on `rows` generated arrivals."""
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch, _livy(Path(scratch)) as url:
        folder = Path(scratch)
        generate(folder / "source", rows=rows)
        started = time.monotonic()
        with ThreadPoolExecutor(len(JOBS)) as pool:
            list(pool.map(lambda job: _session(url, job, folder, "parallel"), JOBS))
        parallel_s = time.monotonic() - started
        started = time.monotonic()
        for job in JOBS:
            _session(url, job, folder, "sequential")
        sequential_s = time.monotonic() - started
    return {
        "rows": rows,
        "parallel_s": round(parallel_s, 1),
        "sequential_s": round(sequential_s, 1),
        "speed_up": round(sequential_s / parallel_s, 2),
    }


@contextmanager
def _livy(folder: Path) -> Iterator[str]:
    """Start an embedded Livy and yield its URL. Raises SystemExit with the end of its log if it does not start.

    Raises SandboxError if its address is taken.
    """
    host = Addresses(NET).emr(1)
    check_free(host, LIVY_PORT, "The bench's Livy")
    options = ["--host", host, "--work-dir", str(folder / "livy"), "--plain"]
    command = [sys.executable, "-m", "sandbox.livy", *options]
    server = Child(command, name="livy", log=folder / "livy.log", cwd=ROOT)
    url = f"http://{host}:{LIVY_PORT}"
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not _answers(url):
            if not server.alive or time.monotonic() > deadline:
                raise SystemExit(f"Livy did not start:\n{server.log_tail()}")
            time.sleep(POLL_S)
        yield url
    finally:
        server.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/sessions", timeout=5).ok
    except requests.ConnectionError:
        return False


def _uris(source: Path) -> list[str]:
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    return [path.as_uri() for path in files]


def _session(url: str, job: str, folder: Path, order: str) -> None:
    """Run one job in its own session, from POST to DELETE. Raises SystemExit if it fails."""
    body = {"kind": "pyspark", "name": f"{job}-{order}", "driverMemory": "768m"}
    response = requests.post(f"{url}/sessions", json=body, timeout=60)
    response.raise_for_status()
    session = f"{url}/sessions/{response.json()['id']}"
    try:
        _wait(session, "idle", {"starting", "not_started"})
        code = STATEMENT.format(
            root=str(ROOT),
            job=job,
            inputs=[_uris(folder / "source" / name) for name in JOBS[job]],
            targets={job: f"{(folder / order / job).as_uri()}/"},
            rejected=f"{(folder / order / f'{job}-rejected').as_uri()}/",
        )
        response = requests.post(f"{session}/statements", json={"code": code}, timeout=60)
        response.raise_for_status()
        statement = _wait(
            f"{session}/statements/{response.json()['id']}", "available", {"waiting", "running"}
        )
        if statement["output"]["status"] != "ok":
            raise SystemExit(f"{job} failed: {statement['output']}")
    finally:
        requests.delete(session, timeout=60)


def _wait(url: str, wanted: str, pending: set[str]) -> dict[str, Any]:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        seen: dict[str, Any] = requests.get(url, timeout=60).json()
        ready = seen["state"] == wanted and seen.get("output", True) is not None
        if ready:
            return seen
        if seen["state"] not in {*pending, wanted}:
            raise SystemExit(f"{url} is {seen['state']}, not {wanted}")
        time.sleep(POLL_S)
    raise SystemExit(f"{url} was not {wanted} after {TIMEOUT_S:.0f} s")
