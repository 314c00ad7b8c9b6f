"""The world's time: it passes only when somebody lets it, and what is due then happens."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Timeline:
    """A `waiting.Clock` moved by hand, with what is to happen at its times.

    `slowness` stretches what begins from now on, `happened` counts what was due.
    """

    def __init__(self) -> None:
        self._now = START
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self.slowness = 1.0
        self.happened = 0

    def now(self) -> datetime:
        return self._now

    def begin(self, work: Callable[[], None]) -> None:
        """Do work at once, as part of what is going on (for `sandbox.aws.schedule.Schedule`)."""
        work()

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        """Let `work` be called in `delay_s` times `slowness`; what is due at one time keeps its order."""
        at = self._now + timedelta(seconds=delay_s * self.slowness)
        heapq.heappush(self._due, (at, next(self._order), work))

    def advance(self, seconds: float) -> None:
        """Let time pass; each thing happens at its own time."""
        until = self._now + timedelta(seconds=seconds)
        while self._due and self._due[0][0] <= until:
            at, _, work = heapq.heappop(self._due)
            self._now = max(self._now, at)
            self.happened += 1
            work()
        self._now = max(self._now, until)
