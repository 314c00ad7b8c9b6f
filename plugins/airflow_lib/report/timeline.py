"""A run's timeline as the numbers of an SVG picture: a bar a task, the critical path, the clusters' lifetimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_lib.report.clusters import Lifetime
from airflow_lib.report.critical_path import CriticalPath
from airflow_lib.report.facts import TaskFacts, began_of, ended_of, seconds_of
from airflow_lib.report.words import format_seconds

WIDTH = 1000
LEFT, RIGHT = 232, 918  # between these x the run's time lies; after a bar there is room for how long it took
ROW = 24  # from one bar to the next
TOP = 30  # the axis
_BAR = 12
_BEND = 6  # below a bar, a link turns to the side
_MAX_TICKS = 8
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class Span:
    """A piece of a row; `kind` is what the style sheet draws it as."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True)
class Line:
    """One row: its label (`group` and `name`), its pieces, and what is written after and behind them."""

    group: str
    name: str
    y: float
    spans: tuple[Span, ...]
    after: str
    after_x: float
    title: str
    critical: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark of the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Link:
    """From the end of a task of the critical path to the begin of the next."""

    points: str


@dataclass(frozen=True)
class Picture:
    """All that is drawn; `more` tasks that are not are the last ones to begin."""

    height: float
    lines: tuple[Line, ...]
    ticks: tuple[Tick, ...]
    links: tuple[Link, ...]
    more: int
    bar: float = _BAR


@dataclass(frozen=True)
class _Scale:
    zero: datetime
    span_s: float

    def x(self, moment: datetime) -> float:
        share = (moment - self.zero).total_seconds() / self.span_s
        return round(LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT), 1)

    def span(self, begin: datetime, end: datetime, kind: str) -> Span:
        """At least as wide as can be seen."""
        x = self.x(begin)
        return Span(x, round(max(self.x(end) - x, 2.0), 1), kind)


def draw_timeline(
    tasks: Sequence[TaskFacts], path: CriticalPath, lifetimes: Sequence[Lifetime], *, limit: int
) -> Picture | None:
    """The picture of `tasks`, whose times are known and which are in the order of their begin; None without any."""
    if not tasks:
        return None
    zero, end = began_of(tasks[0]), max(map(ended_of, tasks))
    scale = _Scale(zero, max((end - zero).total_seconds(), 1.0))
    lines = [
        *(
            _lifetime_line(one, scale, end, _y(row))
            for row, one in enumerate(one for one in lifetimes if _moments(one))
        )
    ]
    shown = tasks[:limit]
    rows = {task.id: _y(len(lines) + row) for row, task in enumerate(shown)}
    lines += [_task_line(task, scale, rows[task.id], path) for task in shown]
    height = _y(len(lines)) - 4
    return Picture(
        height, tuple(lines), _ticks(scale), tuple(_links(path, rows, scale)), len(tasks) - len(shown)
    )


def _y(row: int) -> float:
    return TOP + 8 + row * ROW


def _task_line(task: TaskFacts, scale: _Scale, y: float, path: CriticalPath) -> Line:
    begin, end = began_of(task), ended_of(task)
    group, _, name = task.id.rpartition(".")
    critical, failed = task.id in path.ids, task.state == "failed"
    kind = "failed" if failed else "critical" if critical else "task"
    span = scale.span(begin, end, kind)
    took = seconds_of(task)
    spans = [span]
    if task.waited_s and took > 0:
        # Where in its time a task waited is not noted: it works before and after, and waits between.
        share = min(task.waited_s / took, 1.0)
        width = round(span.width * share, 1)
        spans = [span, Span(round(span.x + (span.width - width) / 2, 1), width, "wait")]
    told = format_seconds(took)
    waited = f", {format_seconds(task.waited_s)} of it waiting" if task.waited_s else ""
    title = f"{task.id}: {task.state or 'not started'}, {told}{waited}"
    label = f"{told}, try {task.tries}" if task.tries > 1 else told
    return Line(
        f"{group}." if group else "",
        name,
        y,
        tuple(spans),
        label,
        span.x + span.width + 7,
        title,
        critical,
        failed,
    )


def _lifetime_line(one: Lifetime, scale: _Scale, end: datetime, y: float) -> Line:
    begin = one.requested or one.ready
    assert begin is not None  # noqa: S101  `_moments` has seen one
    until = one.released or one.gone or end
    spans = []
    if one.requested is not None:
        spans.append(scale.span(one.requested, one.ready or until, "changing"))
    if one.ready is not None:
        spans.append(scale.span(one.ready, until, "alive"))
    if one.gone is not None and one.released is not None:
        spans.append(scale.span(one.released, one.gone, "changing"))
    stop = one.gone or until
    told = format_seconds((stop - begin).total_seconds())
    last = spans[-1]
    title = f"{one.title} {one.name}: {one.origin}, {one.ending}"
    return Line("", one.title, y, tuple(spans), told, last.x + last.width + 7, title)


def _moments(one: Lifetime) -> bool:
    return one.requested is not None or one.ready is not None


def _links(path: CriticalPath, rows: dict[str, float], scale: _Scale) -> list[Link]:
    links = []
    for before, after in zip(path.hops, path.hops[1:], strict=False):
        if before.task.id in rows and after.task.id in rows:
            x, next_x = scale.x(ended_of(before.task)), scale.x(began_of(after.task))
            down = rows[after.task.id] > rows[before.task.id]
            y = rows[before.task.id] + (_BAR if down else 0)
            next_y = rows[after.task.id] + (0 if down else _BAR)
            turn = y + (_BEND if down else -_BEND)
            links.append(
                Link(f"{min(x, next_x)},{y} {min(x, next_x)},{turn} {next_x},{turn} {next_x},{next_y}")
            )
    return links


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    step = next((step for step in _STEPS_S if scale.span_s / step <= _MAX_TICKS), None)
    if step is None:
        step = int(scale.span_s / _MAX_TICKS) + 1
    marks = range(0, int(scale.span_s) + 1, step)
    return tuple(
        Tick(round(LEFT + mark / scale.span_s * (RIGHT - LEFT), 1), _format_mark(mark)) for mark in marks
    )


def _format_mark(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{rest // 60}:{rest % 60:02d}"
