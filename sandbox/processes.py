"""Child processes that cannot outlive their parent, even if it is killed.

A child runs under a guard process: `python -m sandbox.processes COMMAND...`. The guard holds the read end of a
pipe; only the parent has the write end, so even `kill -9` of the parent closes it. The guard then ends the whole
process tree below it, first with SIGTERM, after 10 s with SIGKILL. If the guard itself is killed, the kernel
signals the child (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 10.0


class Child:
    """A started process; its tree ends with this process, or at `stop()`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | IO[bytes] | None = None,
    ) -> None:
        """Start `command`; stderr (and stdout, unless given) goes to `log`."""
        self.name, self.log = name, log
        self._stopping = threading.Lock()
        log.parent.mkdir(parents=True, exist_ok=True)
        reading, self._lifeline = os.pipe()
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.processes", str(reading), *command],
                pass_fds=(reading,),
                stdin=subprocess.DEVNULL,
                stdout=stdout if stdout is not None else sink,
                stderr=sink,
                env={**(environment if environment is not None else os.environ), **_import_path(environment)},
                cwd=cwd,
                start_new_session=True,
            )
        os.close(reading)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    def log_tail(self, lines: int = 20) -> str:
        """The end of the log, for an error message."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self, timeout_s: float = _GRACE_S + 5) -> None:
        """End the process tree and wait for its end. Safe to call twice or concurrently."""
        with self._stopping:
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            end_tree(psutil.Process(self.process.pid), grace_s=0)
            self.process.kill()
            self.process.wait(5)


def _import_path(environment: Mapping[str, str] | None) -> dict[str, str]:
    """PYTHONPATH with this checkout in it: the guard imports this package, whatever the child's directory."""
    root = str(Path(__file__).resolve().parent.parent)
    current = (environment if environment is not None else os.environ).get("PYTHONPATH", "")
    parts = current.split(os.pathsep) if current else []
    return {"PYTHONPATH": os.pathsep.join(parts if root in parts else [*parts, root])}


def end_tree(process: psutil.Process, grace_s: float = _GRACE_S) -> None:
    """Send SIGTERM to everything below `process`, and SIGKILL to what is still alive after `grace_s`."""
    tree = process.children(recursive=True)
    for member in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.terminate()
    psutil.wait_procs(tree, timeout=grace_s)
    for member in {*tree, *process.children(recursive=True)}:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()


def _guard(lifeline: int, command: Sequence[str]) -> int:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphaned descendants become our children, so that we find them
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_end_tree_and_return(143)))
    # PR_SET_PDEATHSIG watches the thread that forked; the guard has one thread, which lives as long as the child.
    child = subprocess.Popen(
        command,
        close_fds=True,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509  one thread
    )
    ended = os.pidfd_open(child.pid)
    readable, _, _ = select.select([lifeline, ended], [], [])
    code = child.wait() if ended in readable else 143
    return _end_tree_and_return(code if code >= 0 else 128 - code)


def _end_tree_and_return(code: int) -> int:
    end_tree(psutil.Process())
    return code


if __name__ == "__main__":
    sys.exit(_guard(int(sys.argv[1]), sys.argv[2:]))
