"""Shows a run's progress: a live display on a terminal, one line per change in a file or pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sandbox.airflow.client import TaskRun
from sandbox.progress import Session, Snapshot

_STYLES = {
    "success": "green",
    "running": "cyan",
    "deferred": "cyan",
    "queued": "dim",
    "scheduled": "dim",
    "failed": "bold red",
    "upstream_failed": "red",
    "up_for_retry": "yellow",
    "skipped": "dim",
}
_NOTABLE = ("running", "deferred", "up_for_retry", "failed", "upstream_failed")
# Too brief and too many to print a line for each.
_QUIET = frozenset({None, "scheduled", "queued"})


class View(Protocol):
    """Shows snapshots of a run, and log lines beside them."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def log(self, line: str) -> None:
        """Print a line that stays on the screen."""
        ...

    def show(self, snapshot: Snapshot) -> None:
        """Show the run's current state."""
        ...


def make_view(console: Console, clock: Callable[[], float] = time.monotonic) -> View:
    """A LiveView if `console` is a terminal, a PlainView if it is a file or a pipe."""
    return LiveView(console, clock) if console.is_terminal else PlainView(console, clock)


class PlainView:
    """Prints one line per change: seconds since the start, the task or session, and its new state."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock, self._started = console, clock, clock()
        self._tasks: dict[str, str | None] = {}
        self._sessions: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def log(self, line: str) -> None:
        elapsed = self._clock() - self._started
        self._console.print(f"{elapsed:6.1f} s  {line}", markup=False, highlight=False, soft_wrap=True)

    def show(self, snapshot: Snapshot) -> None:
        for task in snapshot.tasks:
            if task.state != self._tasks.get(task.name) and task.state not in _QUIET:
                self.log(f"{task.name}: {task.state}")
                self._tasks[task.name] = task.state
        for session in snapshot.sessions:
            self._show_session(session)

    def _show_session(self, session: Session) -> None:
        """Print each state and each stage once, but not each of the rows' counts."""
        begun = str(session).partition(" so far")[0]
        if begun != self._sessions.get(session.name):
            self.log(f"Spark {session.name}: {session}")
        self._sessions[session.name] = begun


class LiveView:
    """A display that is redrawn: one row per task group, and one per Spark session."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock, self._started = console, clock, clock()
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._sessions: dict[str, Session] = {}

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def log(self, line: str) -> None:
        elapsed = self._clock() - self._started
        self._console.print(f"{elapsed:6.1f} s  {line}", markup=False, highlight=False)

    def show(self, snapshot: Snapshot) -> None:
        self._remember(snapshot.sessions)
        head = Text(f"{self._clock() - self._started:6.1f} s  {snapshot.state}")
        parts: list[Text | Table] = [head, group_table(snapshot.tasks)]
        if self._sessions:
            parts.append(_session_table(list(self._sessions.values())))
        self._live.update(Group(*parts))

    def _remember(self, sessions: Sequence[Session]) -> None:
        """Keep a session that was closed, with what its driver told last."""
        now = {session.name: session for session in sessions}
        for name, session in self._sessions.items():
            if name not in now:
                now[name] = Session(name, "closed", session.told)
            elif not now[name].told and now[name].state == "idle":
                now[name] = Session(name, "idle", session.told)
        self._sessions = dict(sorted(now.items()))


def group_table(tasks: Sequence[TaskRun]) -> Table:
    """One row per task group: how many of its tasks are done, and which are running or failed."""
    groups: dict[str, list[TaskRun]] = {}
    for task in tasks:
        groups.setdefault(task.task_id.split(".")[0], []).append(task)
    grid = Table.grid(padding=(0, 2))
    for name, members in groups.items():
        states = Counter(task.state for task in members)
        done = states["success"] + states["skipped"]
        now = Text(", ").join(
            Text(_short(task), style=_STYLES.get(task.state or "", ""))
            for task in members
            if task.state in _NOTABLE
        )
        style = "green" if done == len(members) else ""
        grid.add_row(Text(name, style=style), Text(f"{done}/{len(members)}", style=style), now)
    return grid


def _short(task: TaskRun) -> str:
    name = task.name.partition(".")[2] or task.name
    return name if task.state in ("running", "deferred") else f"{name} {task.state}"


def _session_table(sessions: Sequence[Session]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for session in sessions:
        grid.add_row(Text(f"Spark {session.name}"), Text(session.state), Text(session.told))
    return grid
