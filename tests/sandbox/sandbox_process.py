"""`python -m sandbox` as a user starts it, in a workspace for the test."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).parent / "cli_dags"
_DEADLINE_S = 150


class SandboxProcess:
    """Commands that share one workspace: a home directory and a loopback net."""

    def __init__(self, home: Path, net: int, dags: Path = DAGS) -> None:
        self.home = home
        # The caller's own AWS, Airflow and proxy settings, none of which may reach Mayfly.
        self.environment = {
            **os.environ,
            "SANDBOX_HOME": str(home),
            "SANDBOX_NET": str(net),
            "SANDBOX_DAGS": str(dags),
            "AWS_PROFILE": "the-callers-own",
            "AWS_ACCESS_KEY_ID": "the-callers-own",
            "AIRFLOW__CORE__EXECUTOR": "the-callers-own",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the background; its output goes to `<home>.out`."""
        with self.home.with_suffix(".out").open("ab") as sink:
            return subprocess.Popen(
                self._command(arguments), env=self.environment, cwd=ROOT, stdout=sink, stderr=sink, text=True
            )

    def run(self, *arguments: str, deadline_s: float = _DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; returns its exit code and output."""
        return subprocess.run(
            self._command(arguments),
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

    @contextlib.contextmanager
    def up(self, *options: str) -> Iterator[SandboxProcess]:
        """Run `up` until the body ends."""
        child = self.start("up", *options)
        try:
            wait_until(
                lambda: child.poll() is not None or "stops it" in self.output, "the start of the sandbox"
            )
            assert child.poll() is None, self.output
            yield self
        finally:
            self.run("down")
            child.kill()
            child.wait()

    @property
    def output(self) -> str:
        """The output of the background commands."""
        return self.home.with_suffix(".out").read_text()

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to this workspace, whatever its parent is now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def commands(self) -> list[str]:
        """The command lines of those processes."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(" ".join(process.cmdline()))
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        """Checks command line, environment and working directory: a process can overwrite the first two."""
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            home = str(self.home)
            return (
                home in " ".join(process.cmdline())
                or process.environ().get("SANDBOX_HOME") == home
                or process.cwd().startswith(home)
            )
        except psutil.Error:
            return False

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "sandbox", *arguments]


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = _DEADLINE_S) -> None:
    """Return once `condition` holds; after the deadline, fail with what was waited for."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"Timed out after {deadline_s} s waiting for {what}"
        time.sleep(0.1)
