"""The time in which AWS's own work goes on: real seconds in the sandbox, a clock moved by hand in tests/world."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from moto.core.utils import utcnow

from sandbox.aws.context import Context

Work = Callable[[], None]


class Schedule(Protocol):
    """When the states of clusters and snapshots change."""

    def now(self) -> datetime: ...

    def begin(self, work: Work) -> None:
        """Let work begin that may take a while, without waiting for it."""

    def later(self, delay_s: float, work: Work) -> None:
        """Let work begin in `delay_s` seconds."""


class RealTime:
    """The sandbox's schedule: each piece of work in a thread of its own, none once the process is stopping."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def now(self) -> datetime:
        return utcnow()

    def begin(self, work: Work) -> None:
        self._context.spawn(work, getattr(work, "__qualname__", "work"))

    def later(self, delay_s: float, work: Work) -> None:
        def wait_and_work() -> None:
            if not self._context.stopping.wait(max(0.0, delay_s)):
                work()

        self._context.spawn(wait_and_work, getattr(work, "__qualname__", "work"))
