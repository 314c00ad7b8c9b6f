"""The processes behind clusters: a Livy server for EMR, the Redshift simulator for Redshift."""

from __future__ import annotations

import contextlib
import os
import shlex
import ssl
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


@dataclass(frozen=True)
class WorkerSpec:
    """How to start a process, and where its output goes."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]


class Worker:
    """One process that is running or starting."""

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

    def wait_ready_line(self, deadline_s: float, cancelled: threading.Event) -> None:
        """Return once the process printed `ready`. Raises WorkerFailed if it ends or takes too long."""
        self._wait(
            lambda: "ready" in self._output.read_text(errors="replace").splitlines(), deadline_s, cancelled
        )

    def wait_http(
        self, url: str, deadline_s: float, cancelled: threading.Event, *, certificate: Path | None = None
    ) -> None:
        """Return once `url` answers with status 200; `certificate` is the file that an https server has its own in.

        Raises WorkerFailed if the process ends or takes too long.
        """
        self._wait(lambda: _answers(url, certificate), deadline_s, cancelled)

    def _wait(self, is_ready: Callable[[], bool], deadline_s: float, cancelled: threading.Event) -> None:
        deadline = time.monotonic() + deadline_s
        while not is_ready():
            if not self.alive:
                raise WorkerFailed(
                    f"{self._spec.name} ended with code {self._child.returncode}: {self._log_end()}"
                )
            if time.monotonic() > deadline:
                raise WorkerFailed(f"{self._spec.name} was not ready after {deadline_s} s: {self._log_end()}")
            if cancelled.wait(_POLL_S):
                raise WorkerFailed(f"the start of {self._spec.name} was cancelled")

    def _log_end(self) -> str:
        return self._child.log_tail(10) or "its log is empty"

    def stop(self) -> None:
        """End the whole process tree."""
        self._child.stop()

    def stop_cleanly(self, deadline_s: float = 30.0) -> None:
        """Send SIGTERM to the process alone, so that it can stop its own children; then end the whole tree."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._child.process.pid).children():
                process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.process.wait(deadline_s)
        self._child.stop()


def _answers(url: str, certificate: Path | None) -> bool:
    try:
        context = ssl.create_default_context(cafile=certificate) if certificate else None
        # Without a proxy, which could not reach this machine's loopback network.
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with direct.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def without_aws() -> dict[str, str]:
    """This process's environment without AWS variables, which could lead a child to a real account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def end_all(stops: Iterable[Callable[[], None]]) -> None:
    """Call all functions at the same time, and return when all have returned."""
    threads = [threading.Thread(target=stop) for stop in stops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def command_from(template: str, **values: object) -> list[str]:
    """A command line from a template: each `{name}` is replaced, and its value is never split into words."""
    return [word.format(**values) for word in shlex.split(template)]


def module_command(module: str, **options: object) -> list[str]:
    """`python -m module --option value …`."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, "-m", module, *words]
