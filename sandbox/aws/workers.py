"""The processes behind clusters: Livy for EMR, PostgreSQL's front for Redshift."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from sandbox.errors import WorkerFailed
from sandbox.processes import Child

_POLL_S = 0.05

# Past any proxy: it could not reach this machine's loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class WorkerSpec:
    """How to start a process, and where its output goes."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]


class Worker:
    """One process that is up, or coming up."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        self._output = spec.log.with_suffix(".out")
        with self._output.open("wb") as output:
            self._child = Child(
                spec.command,
                name=spec.name,
                log=spec.log,
                environment=spec.environment,
                stdout=output,
            )

    @property
    def alive(self) -> bool:
        return self._child.alive

    def wait_ready_line(self, deadline_s: float, given_up: threading.Event) -> None:
        """Return once it printed `ready`. Raises WorkerFailed if it dies, or does not in time."""
        self._wait(
            lambda: "ready" in self._output.read_text(errors="replace").splitlines(), deadline_s, given_up
        )

    def wait_http(self, url: str, deadline_s: float, given_up: threading.Event) -> None:
        """Return once `url` answers 200. Raises WorkerFailed if it dies, or does not in time."""
        self._wait(lambda: _answers(url), deadline_s, given_up)

    def _wait(self, is_ready: Callable[[], bool], deadline_s: float, given_up: threading.Event) -> None:
        deadline = time.monotonic() + deadline_s
        while not is_ready():
            if not self.alive:
                raise WorkerFailed(
                    f"{self._spec.name} ended with {self._child.returncode}: {self._last_words()}"
                )
            if time.monotonic() > deadline:
                raise WorkerFailed(f"{self._spec.name} was not up after {deadline_s} s: {self._last_words()}")
            if given_up.wait(_POLL_S):
                raise WorkerFailed(f"{self._spec.name} was given up while it started")

    def _last_words(self) -> str:
        return self._child.log_tail(10) or "it said nothing"

    def stop(self) -> None:
        """End the whole tree."""
        self._child.stop()

    def stop_cleanly(self, deadline_s: float = 30.0) -> None:
        """Ask the process alone to end, so that it can put its own children to rest; then end the tree."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._child.process.pid).children():
                process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.process.wait(deadline_s)
        self._child.stop()


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def without_aws() -> dict[str, str]:
    """Our environment without what would point a child at somebody's real account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def end_all(stops: Iterable[Callable[[], None]]) -> None:
    """Call each, all at once, and return when all have."""
    threads = [threading.Thread(target=stop) for stop in stops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def command_from(template: str, **values: object) -> list[str]:
    """A command line with its `{names}` filled in, each within its own word."""
    return [word.format(**values) for word in shlex.split(template)]


def module_command(module: str, **options: object) -> list[str]:
    """`python -m module --option value …`."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, "-m", module, *words]
