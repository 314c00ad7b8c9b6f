"""What a report is made of: a run's tasks with their times, and what they returned. Whoever collects it fills it in.

Results are as the tasks returned them (`steps.Done.result`); what others wrote into them is data, and may be malformed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a run ended."""

    GREEN = "green"
    IDLE = "idle"
    RED = "red"


@dataclass(frozen=True)
class TaskFacts:
    """One task of a run. Times are of its last try, and None where nobody noted them (it never ran, or was killed).

    `waited_s` is for how long of that time it held no worker, because what it waits for was polled in the triggerer;
    None where that is not known. `cause` says why it failed.
    """

    id: str
    state: str | None
    upstream: frozenset[str] = frozenset()
    began: datetime | None = None
    ended: datetime | None = None
    waited_s: float | None = None
    tries: int = 1
    result: Any = None
    cause: str = ""


@dataclass(frozen=True)
class ReportFacts:
    """A run that is over. `message` says why it is red, or had nothing to do; `at` is when this was collected."""

    pipeline: str
    deployment: str
    run_id: str
    window: str
    region: str
    verdict: Verdict
    at: datetime
    message: str = ""
    tasks: tuple[TaskFacts, ...] = ()
    left: tuple[str, ...] = field(default=())

    @property
    def timed(self) -> list[TaskFacts]:
        """The tasks whose times are known, in the order in which they began."""
        known = [task for task in self.tasks if task.began is not None and task.ended is not None]
        return sorted(known, key=lambda task: (began_of(task), ended_of(task)))

    def task(self, task_id: str) -> TaskFacts | None:
        return next((task for task in self.tasks if task.id == task_id), None)


def began_of(task: TaskFacts) -> datetime:
    """When a task whose times are known began."""
    assert task.began is not None  # noqa: S101  `ReportFacts.timed` has no other
    return task.began


def ended_of(task: TaskFacts) -> datetime:
    """When a task whose times are known ended; never before it began, whatever the clocks of two hosts say."""
    assert task.ended is not None  # noqa: S101  as above
    return max(task.ended, began_of(task))


def seconds_of(task: TaskFacts) -> float:
    """For how long a task whose times are known ran, its waits included."""
    return (ended_of(task) - began_of(task)).total_seconds()
