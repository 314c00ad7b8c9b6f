"""Finds the processes of a running sandbox by their role, and kills or suspends them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psutil
from sandbox_process import wait_until

_GUARD = "sandbox.processes"


class LiveProcesses:
    """The descendants of the sandbox's main process; each method returns None if there is no such process."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    @property
    def supervisor(self) -> psutil.Process:
        """The sandbox's main process, which restarts Airflow components that die."""
        return self._root

    def airflow(self, component: str) -> psutil.Process | None:
        """The scheduler, triggerer, dag-processor or api-server itself, with_descendants its guard."""
        return self._guarded(lambda line: _runs(line, component))

    def aws(self) -> psutil.Process | None:
        """The AWS process."""
        return self._guarded(lambda line: "sandbox.aws" in line)

    def celery_worker(self, name: str) -> psutil.Process | None:
        """The main process of a Celery worker (w1, w2, …)."""
        return self._guarded(lambda line: any(word.startswith(f"{name}@") for word in line))

    def rabbitmq(self) -> psutil.Process | None:
        """Airflow's broker."""
        return self._guarded(lambda line: any(word.endswith("rabbitmq-server") for word in line))

    def postgres(self) -> psutil.Process | None:
        """Airflow's metadata database; warehouses have others."""
        return self._guarded(lambda line: any(word.endswith("/airflow/postgres") for word in line))

    def task(self, pid: int | None) -> psutil.Process | None:
        """The process that runs a task (`pid` is what Airflow reports), or None if it has ended."""
        return next((one for one in self._descendants() if one.pid == pid), None)

    def worker(self, task: psutil.Process) -> psutil.Process | None:
        """The executor's worker process that supervises a task's process."""
        return task.parent()

    def livy_server(self, host: str) -> psutil.Process | None:
        """The Livy server that listens on `host`."""
        return self._guarded(lambda line: "sandbox.livy" in line and host in line)

    def livy_driver(self, session: str) -> psutil.Process | None:
        """The driver JVM of the Livy session with this name."""
        return self._find(
            lambda line: line[0].endswith("java") and any(word.endswith(f"={session}") for word in line)
        )

    def _guarded(self, is_wanted: Callable[[list[str]], bool]) -> psutil.Process | None:
        """The child of the guard with a matching command line: the child itself may have changed its own.

        The guard also inherits orphans, which may be zombies until it ends.
        """
        guard = self._find(lambda line: _GUARD in line and is_wanted(line))
        if guard is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return next((one for one in guard.children() if one.status() != psutil.STATUS_ZOMBIE), None)
        return None

    def _find(self, is_wanted: Callable[[list[str]], bool]) -> psutil.Process | None:
        for process in self._descendants():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if line and is_wanted(line):
                    return process
        return None

    def _descendants(self) -> list[psutil.Process]:
        return self._root.children(recursive=True)


def kill(process: psutil.Process) -> None:
    """Send SIGKILL, and return once the process has ended."""
    process.kill()
    wait_until(lambda: not _is_alive(process), f"the end of process {process.pid}", 30)


def kill_tree(process: psutil.Process) -> None:
    """Send SIGKILL to a process and its descendants at the same time, as when their host fails."""
    tree = [process, *process.children(recursive=True)]
    for one in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    wait_until(
        lambda: not any(map(_is_alive, tree)), f"the end of process {process.pid} and its descendants", 30
    )


@contextlib.contextmanager
def suspended(process: psutil.Process, *, with_descendants: bool = True) -> Iterator[None]:
    """Suspend the process (SIGSTOP), with its descendants if `with_descendants`, until the body ends."""
    tree = [process, *(process.children(recursive=True) if with_descendants else ())]
    for one in tree:
        one.suspend()
    try:
        yield
    finally:
        for one in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _runs(line: list[str], component: str) -> bool:
    """Whether the command is `… airflow COMPONENT --options`."""
    return any(line[i : i + 2] == ["airflow", component] for i in range(len(line)))
