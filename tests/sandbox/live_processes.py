"""The processes of a sandbox that is up, by the part they play: to kill one, and only one of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psutil
from sandbox_process import wait_until

_GUARD = "sandbox.processes"


class LiveProcesses:
    """What runs below the sandbox's own process; each finder answers None where there is nothing."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    @property
    def supervisor(self) -> psutil.Process:
        """The sandbox's own process, which starts again what of Airflow dies."""
        return self._root

    def airflow(self, component: str) -> psutil.Process | None:
        """The scheduler, triggerer, dag-processor or api-server itself, below its guard."""
        return self._guarded(lambda line: _runs(line, component))

    def aws(self) -> psutil.Process | None:
        """The sandbox's AWS."""
        return self._guarded(lambda line: "sandbox.aws" in line)

    def task(self, pid: int | None) -> psutil.Process | None:
        """The process that works on a task, whose id Airflow tells; None where it is gone."""
        return next((one for one in self._below() if one.pid == pid), None)

    def worker(self, task: psutil.Process) -> psutil.Process | None:
        """The executor's worker that watches over a task's process."""
        return task.parent()

    def livy_server(self, host: str) -> psutil.Process | None:
        """The Livy server that listens on `host`."""
        return self._guarded(lambda line: "sandbox.livy" in line and host in line)

    def livy_driver(self, session: str) -> psutil.Process | None:
        """The driver JVM of the Livy session of that name."""
        return self._find(
            lambda line: line[0].endswith("java") and any(word.endswith(f"={session}") for word in line)
        )

    def _guarded(self, is_wanted: Callable[[list[str]], bool]) -> psutil.Process | None:
        """The child of the guard whose command is wanted: it may have renamed itself."""
        guard = self._find(lambda line: _GUARD in line and is_wanted(line))
        if guard is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return next(iter(guard.children()), None)
        return None

    def _find(self, is_wanted: Callable[[list[str]], bool]) -> psutil.Process | None:
        for process in self._below():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if line and is_wanted(line):
                    return process
        return None

    def _below(self) -> list[psutil.Process]:
        return self._root.children(recursive=True)


def kill(process: psutil.Process) -> None:
    """SIGKILL, and return once it is gone."""
    process.kill()
    wait_until(lambda: not _lives(process), f"the end of process {process.pid}", 30)


def kill_tree(process: psutil.Process) -> None:
    """SIGKILL it and all below it at once, as the end of its host would."""
    tree = [process, *process.children(recursive=True)]
    for one in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    wait_until(lambda: not any(map(_lives, tree)), f"the end of process {process.pid} and all below", 30)


@contextlib.contextmanager
def frozen(process: psutil.Process, *, below: bool = True) -> Iterator[None]:
    """The process and all below it, or it alone, stand still (SIGSTOP) until the body ends."""
    tree = [process, *(process.children(recursive=True) if below else ())]
    for one in tree:
        one.suspend()
    try:
        yield
    finally:
        for one in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _runs(line: list[str], component: str) -> bool:
    """Whether the command is `… airflow COMPONENT --options`."""
    return any(line[i : i + 2] == ["airflow", component] for i in range(len(line)))
