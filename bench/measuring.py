"""Measures wall time, CPU seconds and peak memory of a process and its descendants."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

SAMPLE_S = 0.1
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Cost:
    """Wall time and CPU time in seconds, set when the measured block ends."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return {"wall_s": round(self.wall_s, 2), "cpu_s": round(self.cpu_s, 2)}


@contextlib.contextmanager
def measured() -> Iterator[Cost]:
    """The cost of the block in this process and its descendants, such as a JVM."""
    cost, wall, cpu = Cost(), time.monotonic(), _tree_cpu_s()
    yield cost
    cost.wall_s, cost.cpu_s = time.monotonic() - wall, _tree_cpu_s() - cpu


def _tree_cpu_s() -> float:
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def run_module(module: str, *arguments: str) -> dict[str, Any]:
    """Run `python -m module arguments` and return the JSON object that it prints last, with `peak_rss_mib`.

    Raises SystemExit with the end of its output if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    watch = PeakMemory(process.pid)
    with watch:
        output, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed ({process.returncode}):\n{errors[-3000:]}")
    answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return {**answer, "peak_rss_mib": watch.peak_mib}


class PeakMemory:
    """The peak resident memory of a process and its descendants, sampled while the context is open."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak = pid, 0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def peak_mib(self) -> int:
        return self._peak // 2**20

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            with contextlib.suppress(psutil.NoSuchProcess):
                top = psutil.Process(self._pid)
                self._peak = max(self._peak, sum(_rss(p) for p in (top, *top.children(recursive=True))))


def _rss(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0
