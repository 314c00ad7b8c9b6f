"""A sandbox's workspace: the directories that hold its files, and which process uses them now.

Only one sandbox at a time may use a workspace. It holds a lock on the file `lock`, which the kernel releases when
the process ends, and writes to `running.json` how to reach it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.addresses import Addresses
from sandbox.errors import SandboxError

ROOT = Path(__file__).resolve().parent.parent
_POLL_S = 0.1


@dataclass(frozen=True)
class Workspace:
    """The directories of one sandbox."""

    home: Path
    addresses: Addresses
    dags: Path = ROOT / "dags"
    plugins: Path = ROOT / "plugins"
    root: Path = ROOT

    @classmethod
    def from_environment(cls) -> Workspace:
        """`.sandbox` in the checkout, `.sandbox/net-n` for SANDBOX_NET=n.

        SANDBOX_HOME and SANDBOX_DAGS replace the state and DAGs directories, for tests.
        """
        addresses = Addresses.from_environment()
        default = ROOT / ".sandbox" / (f"net-{addresses.net}" if addresses.net else "")
        return cls(
            home=Path(os.environ.get("SANDBOX_HOME", default)).resolve(),
            addresses=addresses,
            dags=Path(os.environ.get("SANDBOX_DAGS", ROOT / "dags")).resolve(),
        )

    @property
    def airflow(self) -> Path:
        return self.home / "airflow"

    @property
    def aws(self) -> Path:
        """S3 and snapshots, kept until the next start with an empty account."""
        return self.home / "aws"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def generated(self) -> Path:
        return self.home / "data"


@dataclass(frozen=True)
class Running:
    """How to reach the running sandbox; `workers` is the number of its Celery workers, 0 with a LocalExecutor."""

    pid: int
    command: str
    started: float
    aws_url: str
    airflow_url: str | None = None
    user: str | None = None
    password: str | None = None
    workers: int = 0

    @property
    def serves_runs(self) -> bool:
        """Whether `run` can use it: it was started by `up`, and its Airflow is ready."""
        return self.command == "up" and self.airflow_url is not None


@contextlib.contextmanager
def lock_workspace(workspace: Workspace, command: str) -> Iterator[None]:
    """Use the workspace alone until the body ends. Raises SandboxError if another sandbox uses it."""
    with _file_lock(workspace.home / "lock", workspace, command):
        try:
            write_running_file(
                workspace, Running(os.getpid(), command, time.time(), workspace.addresses.aws_url)
            )
            yield
        finally:
            _running_file(workspace).unlink(missing_ok=True)


@contextlib.contextmanager
def lock_run(workspace: Workspace) -> Iterator[None]:
    """Let no other `run` use the sandbox of `up` until the body ends. Raises SandboxError if one already does."""
    with _file_lock(workspace.home / "run.lock", workspace, "run"):
        yield


def write_running_file(workspace: Workspace, running: Running) -> None:
    """Write how to reach this sandbox; only its user may read the file, since it holds the UI's password."""
    path = _running_file(workspace)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(running)))
    partial.replace(path)


def find_running(workspace: Workspace) -> Running | None:
    """The sandbox that uses the workspace now, or None."""
    if not _is_locked(workspace.home / "lock"):
        return None
    try:
        return Running(**json.loads(_running_file(workspace).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def stop_running(workspace: Workspace, timeout_s: float = 60.0) -> Running | None:
    """Send SIGTERM to the running sandbox and wait for its end; returns it, or None if none ran.

    Raises SandboxError if it does not stop in time.
    """
    running = find_running(workspace)
    if running is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while _is_locked(workspace.home / "lock"):
        if time.monotonic() > deadline:
            raise SandboxError(
                f"The sandbox (process {running.pid}) did not stop within {timeout_s:.0f} s; "
                f"`kill -9 {running.pid}` ends it and all its child processes"
            )
        time.sleep(_POLL_S)
    return running


def _running_file(workspace: Workspace) -> Path:
    return workspace.home / "running.json"


@contextlib.contextmanager
def _file_lock(path: Path, workspace: Workspace, command: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = find_running(workspace)
            who = f"`{holder.command}` (process {holder.pid})" if holder else "another command"
            raise SandboxError(
                f"Cannot {command}: {who} already uses the sandbox in {workspace.home}. "
                "Wait until it has ended, or stop it with `python -m sandbox down`; "
                "SANDBOX_NET=1 starts a second sandbox beside it"
            ) from None
        yield


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
