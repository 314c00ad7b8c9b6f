"""Measures how many worker slots one run takes over its time, with Celery, from Airflow's own database.

A task that is running takes a slot; one that is deferred waits in the triggerer and takes none.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from bench.measuring import ROOT
from sandbox.addresses import Addresses

NET = int(os.environ.get("SANDBOX_NET", "251"))  # so that it can run beside a user's sandbox
PICTURE = Path("docs") / "slots.svg"
SAMPLE_S = 0.25
_STATES = "SELECT task_id, state FROM task_instance WHERE state IN ('running', 'deferred')"
_WIDTH, _HEIGHT, _LEFT, _BASE = 760, 220, 40, 190


@dataclass(frozen=True)
class Sample:
    """The tasks that are running and deferred, some seconds after the first task began."""

    at_s: float
    running: tuple[str, ...]
    deferred: tuple[str, ...]


def measure(rows: int, workers: int = 2) -> dict[str, Any]:
    """The figures of one run on `rows` generated arrivals; writes the picture to docs/slots.svg.

    Raises SystemExit with the end of its output if the run fails.
    """
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        output = Path(scratch) / "output.txt"
        command = [sys.executable, "-m", "sandbox", "run", "immigration", "--rows", str(rows)]
        command += ["--celery", "--workers", str(workers)]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}",
            "SANDBOX_NET": str(NET),
            "SANDBOX_HOME": str(Path(scratch) / "home"),
        }
        with output.open("w") as sink:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sink, stderr=sink)
            samples = _sample(process)
        if process.returncode != 0:
            raise SystemExit(f"The run failed ({process.returncode}):\n{output.read_text()[-3000:]}")
    (ROOT / PICTURE).write_text(picture(samples))
    return {"rows": rows, "workers": workers, **figures(samples), "picture": str(PICTURE)}


def figures(samples: Sequence[Sample]) -> dict[str, Any]:
    """Slots in use, in seconds and on average, and how much was waited for without one."""
    lengths = [after.at_s - one.at_s for one, after in itertools.pairwise(samples)]
    taken: Counter[str] = Counter()
    slot_s = waited_s = only_waiting_s = 0.0
    for one, length in zip(samples, lengths, strict=False):
        slot_s += len(one.running) * length
        waited_s += len(one.deferred) * length
        only_waiting_s += length if one.deferred and not one.running else 0.0
        for task in one.running:
            taken[task.partition(".")[0]] += length
    wall_s = sum(lengths)
    return {
        "wall_s": round(wall_s, 1),
        "slots_peak": max((len(one.running) for one in samples), default=0),
        "slots_mean": round(slot_s / wall_s, 2) if wall_s else 0.0,
        "slot_s": round(slot_s, 1),
        "waited_without_slot_s": round(waited_s, 1),
        "no_slot_taken_s": round(only_waiting_s, 1),
        "slot_s_by_group": {group: round(seconds, 1) for group, seconds in taken.most_common()},
    }


def picture(samples: Sequence[Sample]) -> str:
    """An SVG: over time, the tasks that take a slot, and below them in outline those that wait without one."""
    end_s = max(samples[-1].at_s, 1.0) if samples else 1.0
    top = max((max(len(one.running), len(one.deferred)) for one in samples), default=1) or 1
    x_of = (_WIDTH - _LEFT - 10) / end_s
    y_of = (_BASE - 30) / top

    def steps(counts: Sequence[int]) -> str:
        points, before = [f"M{_LEFT},{_BASE}"], _BASE * 1.0
        for one, count in zip(samples, counts, strict=True):
            x, y = _LEFT + one.at_s * x_of, _BASE - count * y_of
            if y != before:
                points.append(f"L{x:.1f},{before:.1f}L{x:.1f},{y:.1f}")
                before = y
        return "".join(
            [*points, f"L{_LEFT + end_s * x_of:.1f},{before:.1f}L{_LEFT + end_s * x_of:.1f},{_BASE}"]
        )

    ticks = "".join(
        f'<text x="{_LEFT - 8}" y="{_BASE - n * y_of + 4:.1f}" text-anchor="end">{n}</text>'
        for n in range(top + 1)
    )
    every_s = 30 if end_s > 100 else 10
    ticks += "".join(
        f'<text x="{_LEFT + s * x_of:.1f}" y="{_BASE + 18}" text-anchor="middle">{s} s</text>'
        for s in range(0, int(end_s) + 1, every_s * (1 + int(end_s) // (every_s * 12)))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n'
        "<title>Tasks that take a worker slot, and tasks that wait without one, over a run</title>\n"
        "<style>text{font:12px sans-serif;fill:#555}.r{fill:#2a78d6}.d{fill:none;stroke:#d9822b;stroke-width:1.5}"
        ".a{stroke:#999}@media(prefers-color-scheme:dark){text{fill:#bbb}}</style>\n"
        f'<path class="r" d="{steps([len(one.running) for one in samples])}Z"/>\n'
        f'<path class="d" d="{steps([len(one.deferred) for one in samples])}"/>\n'
        f'<path class="a" d="M{_LEFT},{_BASE}H{_WIDTH - 10}"/>\n{ticks}\n'
        f'<text x="{_LEFT}" y="16">filled: tasks that take a slot; line: tasks that wait without one</text>\n'
        "</svg>\n"
    )


def _sample(process: subprocess.Popen[bytes]) -> list[Sample]:
    """Look into the database until the run's process ends, from the first task on."""
    samples: list[Sample] = []
    began = 0.0
    while process.poll() is None:
        with contextlib.suppress(psycopg2.Error), contextlib.closing(_connect()) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            while process.poll() is None:
                cursor.execute(_STATES)
                found = cursor.fetchall()
                began = began or (time.monotonic() if found else 0.0)
                if began:
                    running = tuple(task for task, state in found if state == "running")
                    deferred = tuple(task for task, state in found if state == "deferred")
                    samples.append(Sample(time.monotonic() - began, running, deferred))
                time.sleep(SAMPLE_S)
        time.sleep(SAMPLE_S)
    while len(samples) > 1 and not samples[-2].running and not samples[-2].deferred:
        samples.pop()  # after the last task
    return samples


def _connect() -> Any:
    addresses = Addresses(NET)
    return psycopg2.connect(
        host=addresses.host,
        port=addresses.airflow_db_port,
        user="airflow",
        dbname="airflow",
        connect_timeout=2,
    )
