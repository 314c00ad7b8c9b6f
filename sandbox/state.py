"""Where a sandbox keeps its files, and which one is running.

One sandbox at a time holds a place: the holder has `lock` locked for as long as it lives, whatever kills it,
and says in `running.json` how to reach it.
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
class Place:
    """The directories of one sandbox."""

    home: Path
    addresses: Addresses
    dags: Path = ROOT / "dags"
    plugins: Path = ROOT / "plugins"
    root: Path = ROOT

    @classmethod
    def from_environment(cls) -> Place:
        """`.sandbox` of the checkout; SANDBOX_NET=n has its own, SANDBOX_HOME and SANDBOX_DAGS are for tests."""
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
        """S3 and snapshots: they stay until the next fresh run."""
        return self.home / "aws"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def generated(self) -> Path:
        return self.home / "data"


@dataclass(frozen=True)
class Running:
    """How to reach the sandbox that runs."""

    pid: int
    command: str
    started: float
    aws_url: str
    airflow_url: str | None = None
    user: str | None = None
    password: str | None = None

    @property
    def serves_runs(self) -> bool:
        """Whether `run` may use it: it is an `up` whose Airflow is ready."""
        return self.command == "up" and self.airflow_url is not None


@contextlib.contextmanager
def hold(place: Place, command: str) -> Iterator[None]:
    """Be the sandbox of this place. Raises SandboxError where another one is."""
    with _locked(place.home / "lock", place, command):
        try:
            announce(place, Running(os.getpid(), command, time.time(), place.addresses.aws_url))
            yield
        finally:
            _running_file(place).unlink(missing_ok=True)


@contextlib.contextmanager
def hold_run(place: Place) -> Iterator[None]:
    """Be the one `run` that uses an `up`. Raises SandboxError where another one does."""
    with _locked(place.home / "run.lock", place, "run"):
        yield


def announce(place: Place, running: Running) -> None:
    """Say how to reach us; only the user may read it, since it holds the UI's password."""
    path = _running_file(place)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(running)))
    partial.replace(path)


def find_running(place: Place) -> Running | None:
    """The sandbox that holds the place now, or None."""
    if not _is_locked(place.home / "lock"):
        return None
    try:
        return Running(**json.loads(_running_file(place).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def stop_running(place: Place, timeout_s: float = 60.0) -> Running | None:
    """Ask the running sandbox to stop and wait until it has; answers which it was, None where none ran.

    Raises SandboxError where it does not stop in time.
    """
    running = find_running(place)
    if running is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while _is_locked(place.home / "lock"):
        if time.monotonic() > deadline:
            raise SandboxError(
                f"The sandbox (process {running.pid}) did not stop within {timeout_s:.0f} s; "
                f"`kill -9 {running.pid}` ends it and everything below it"
            )
        time.sleep(_POLL_S)
    return running


def _running_file(place: Place) -> Path:
    return place.home / "running.json"


@contextlib.contextmanager
def _locked(path: Path, place: Place, command: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = find_running(place)
            who = f"`{holder.command}` (process {holder.pid})" if holder else "another command"
            raise SandboxError(
                f"Cannot {command}: {who} uses the sandbox in {place.home} already. "
                "Wait for it, or stop it by `python -m sandbox down`; "
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
