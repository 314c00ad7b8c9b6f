"""Whether a warehouse holds already what a run would load, by the loads that its ledger tells.

A pure rule: whoever asks has read the loads (`ledger`), and knows which outputs the run would load. It says yes only
where loading them again would leave every table as it is; whatever is not known for sure means no.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import groupby

from airflow_lib.pipeline import Fact, Pipeline, Window


@dataclass(frozen=True)
class RecordedLoad:
    """One load as the ledger tells it: by job, the hash of the output's manifest; `code` is that of the SQL.

    All times are in UTC; `loaded_at` is exact to the second.
    """

    run_id: str
    window_start: datetime
    window_end: datetime
    outputs: Mapping[str, str]
    code: str
    loaded_at: datetime


@dataclass(frozen=True)
class Wanted:
    """What a run would load: by job, the hash of its output's manifest, and the hash of the SQL.

    `everywhere` are the jobs whose output serves every window; without `by_window` no table depends on the window.
    """

    outputs: Mapping[str, str]
    code: str
    everywhere: frozenset[str]
    by_window: bool


def wanted_of(pipeline: Pipeline, outputs: Mapping[str, str], code: str) -> Wanted:
    """What a run of the pipeline would load of these outputs."""
    everywhere = frozenset(job.name for job in pipeline.jobs if not job.windowed)
    by_window = len(everywhere) < len(pipeline.jobs) or any(
        isinstance(table, Fact) for table in pipeline.tables
    )
    return Wanted(outputs, code, everywhere, by_window)


def holds(loads: Sequence[RecordedLoad], window: Window, wanted: Wanted) -> RecordedLoad | None:
    """The load since which the tables are what loading `wanted` for `window` would make of them; None: they may differ.

    `loads` are the latest ones, in any order; that there are earlier ones is of no matter where these suffice.

    - The latest load of all has the same outputs of the jobs that serve every window, and the same SQL: the tables
      that do not depend on a window are as it left them.
    - Going back from it, each load that overlaps the window has the same outputs and the same SQL, until these loads
      cover the window: so whichever of them wrote a row of it, it wrote this one. All outputs count, since a row of
      the window may be joined from an output that serves every window.

    Which of two loads of the same second was the later one is not known, so both must be as is wanted.
    """
    ordered = sorted(loads, key=lambda load: load.loaded_at, reverse=True)
    groups = [list(group) for _, group in groupby(ordered, key=lambda load: load.loaded_at)]
    if not groups or not all(_serves_everywhere(load, wanted) for load in groups[0]):
        return None
    if not wanted.by_window:
        return groups[0][0]
    return _covering(groups, _Gap.of(window), wanted)


def _serves_everywhere(load: RecordedLoad, wanted: Wanted) -> bool:
    jobs = wanted.everywhere & wanted.outputs.keys()
    return load.code == wanted.code and all(load.outputs.get(job) == wanted.outputs[job] for job in jobs)


def _covering(groups: Sequence[Sequence[RecordedLoad]], gap: _Gap, wanted: Wanted) -> RecordedLoad | None:
    """The latest load that touches the window, if all that do, until it is covered, are as is wanted."""
    latest: RecordedLoad | None = None
    missing, whole = [gap], gap
    for group in groups:
        for load in group:
            if not whole.overlaps(load):
                continue
            if load.code != wanted.code or dict(load.outputs) != dict(wanted.outputs):
                return None
            latest = latest or load
            missing = [rest for one in missing for rest in one.without(load)]
        if not missing:
            return latest
    return None


@dataclass(frozen=True)
class _Gap:
    """A part of the window that no load seen so far covers."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, window: Window) -> _Gap:
        return cls(_instant(window.start), _instant(window.end))

    def overlaps(self, load: RecordedLoad) -> bool:
        return load.window_start < self.end and self.start < load.window_end

    def without(self, load: RecordedLoad) -> Iterator[_Gap]:
        if not self.overlaps(load):
            yield self
            return
        if self.start < load.window_start:
            yield _Gap(self.start, load.window_start)
        if load.window_end < self.end:
            yield _Gap(load.window_end, self.end)


def _instant(bound: date) -> datetime:
    """A day is from its midnight on, in UTC."""
    return bound if isinstance(bound, datetime) else datetime.combine(bound, time(), UTC)
