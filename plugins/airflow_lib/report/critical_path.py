"""The chain of tasks that decided when a run ended: to make the run shorter, one of these has to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from airflow_lib.report.facts import ReportFacts, TaskFacts, began_of, ended_of, seconds_of

# A task that starts after another ends may seem to start before it by as much as two hosts' clocks differ.
_CLOCKS_DIFFER = timedelta(seconds=2)


@dataclass(frozen=True)
class Hop:
    """One task of the path. In seconds: `before_s` passed since the task before it ended (of the first: 0), in which
    Airflow started it, or an earlier try of it ran; then it waited and worked.

    Where nobody knows how long it waited, `waited_s` is None, and `worked_s` is all of its time.
    """

    task: TaskFacts
    before_s: float
    waited_s: float | None
    worked_s: float


@dataclass(frozen=True)
class CriticalPath:
    """The hops in the order of time."""

    hops: tuple[Hop, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(hop.task.id for hop in self.hops)

    @property
    def before_s(self) -> float:
        return sum(hop.before_s for hop in self.hops)

    @property
    def waited_s(self) -> float:
        return sum(hop.waited_s or 0.0 for hop in self.hops)

    @property
    def worked_s(self) -> float:
        return sum(hop.worked_s for hop in self.hops)


def find_critical_path(facts: ReportFacts) -> CriticalPath:
    """The path to the task that ended last: before each of its tasks the upstream task that ended last.

    A task without times is looked through to those before it. What ended only after the next one had begun (it was
    cleared and ran again) did not decide when that one began.
    """
    timed = facts.timed
    if not timed:
        return CriticalPath()
    by_id = {task.id: task for task in facts.tasks}
    last = max(timed, key=ended_of)
    hops: list[Hop] = []
    seen: set[str] = set()
    while True:
        seen.add(last.id)
        decisive = _decisive(last, by_id, seen)
        hops.append(_hop(last, decisive))
        if decisive is None:
            return CriticalPath(tuple(reversed(hops)))
        last = decisive


def _decisive(task: TaskFacts, by_id: Mapping[str, TaskFacts], seen: set[str]) -> TaskFacts | None:
    latest = began_of(task) + _CLOCKS_DIFFER
    before = [one for one in _timed_upstream(task, by_id) if one.id not in seen and ended_of(one) <= latest]
    return max(before, key=lambda one: (ended_of(one), one.id), default=None)


def _timed_upstream(task: TaskFacts, by_id: Mapping[str, TaskFacts]) -> Iterable[TaskFacts]:
    """The nearest tasks before `task` whose times are known."""
    ahead, met = [*task.upstream], set(task.upstream)
    while ahead:
        one = by_id.get(ahead.pop())
        if one is None:
            continue
        if one.began is not None and one.ended is not None:
            yield one
            continue
        further = one.upstream - met
        met |= further
        ahead += further


def _hop(task: TaskFacts, before: TaskFacts | None) -> Hop:
    gap = (began_of(task) - ended_of(before)).total_seconds() if before is not None else 0.0
    took = seconds_of(task)
    waited = None if task.waited_s is None else min(max(task.waited_s, 0.0), took)
    return Hop(task, max(gap, 0.0), waited, took - (waited or 0.0))
