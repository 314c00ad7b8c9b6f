"""Where the time of a run goes: the tasks that it waited for one after the other, and what lies between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sandbox.airflow.client import TaskRun

Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class Hop:
    """One task of the critical path: seconds before it was queued, then until it began, then until it ended.

    A task that was deferred is queued anew each time; Airflow keeps the last time alone, so all of its wait counts as
    before it was queued.
    """

    task: str
    scheduling_s: float
    starting_s: float
    working_s: float


def critical_path(
    tasks: Sequence[TaskRun], upstream: Mapping[str, AbstractSet[str]], begun: datetime
) -> list[Hop]:
    """From the task that ended last back to the first: of all that a task waits for, the one that ended last.

    `begun` is the run's start.
    """
    ran = {task.task_id: task for task in tasks if task.start is not None and task.end is not None}
    chain = [max(ran.values(), key=_end)]
    while before := [ran[name] for name in upstream[chain[-1].task_id] if name in ran]:
        chain.append(max(before, key=_end))
    chain.reverse()
    first = _hop(chain[0], begun)
    return [first, *(_hop(task, _end(before)) for before, task in pairwise(chain))]


def _hop(task: TaskRun, ready: datetime) -> Hop:
    start = task.start
    assert start is not None
    queued = task.queued if task.queued is not None and ready <= task.queued <= start else start
    return Hop(
        task.task_id,
        scheduling_s=max((queued - ready).total_seconds(), 0.0),
        starting_s=(start - queued).total_seconds(),
        working_s=(_end(task) - max(start, ready)).total_seconds(),
    )


def _end(task: TaskRun) -> datetime:
    assert task.end is not None
    return task.end


def seconds_covered(intervals: Sequence[Interval]) -> float:
    """How many seconds lie in one of these intervals at least."""
    total, until = 0.0, None
    for start, end in sorted(intervals):
        begin = start if until is None else max(start, until)
        if end > begin:
            total += (end - begin).total_seconds()
            until = end
    return total
