"""Clocks, deadlines, and for how long transient errors are allowed. No other module reads the host's time of day.

Polling itself is a step's: it answers `Waiting`, and whoever drives it (Airflow's triggerer, a test) polls again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from airflow_lib.aws.errors import is_transient
from airflow_lib.errors import LivyUnreachable, RegisterUnreachable, WarehouseUnreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

TRANSIENT_BUDGET_S = 300
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0

_UNREACHABLE = (LivyUnreachable, RegisterUnreachable, WarehouseUnreachable)


class Clock(Protocol):
    """Tells the time; tests bring their own."""

    def now(self) -> datetime:
        """Now, in UTC."""
        ...


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def time_after(clock: Clock, seconds: float) -> str:
    """The time `seconds` from now, as ISO text: a step keeps its deadline so, and it survives every restart."""
    return (clock.now() + timedelta(seconds=seconds)).isoformat()


def is_past(clock: Clock, time: str) -> bool:
    """Whether a time of `time_after` has come."""
    return clock.now() >= datetime.fromisoformat(time)


class TransientBudget:
    """Allows transient errors until `TRANSIENT_BUDGET_S` after the first of them in a row."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: datetime | None = None

    def reset(self) -> None:
        """A poll succeeded."""
        self._since = None

    def allows(self, error: BaseException) -> bool:
        """Whether to poll again after `error`."""
        if not isinstance(error, _UNREACHABLE) and not is_transient(error):
            return False
        now = self._clock.now()
        self._since = self._since or now
        return now - self._since < timedelta(seconds=TRANSIENT_BUDGET_S)


def repeat_transient(work: Callable[[], T], *, clock: Clock, sleep: Callable[[float], None]) -> T:
    """What `work` returns, which may be repeated at any time; repeated for as long as the budget allows.

    For what begins in a worker, so that it bears as much as what is polled. Raises what `work` raises.
    """
    budget, pauses = TransientBudget(clock), pauses_s()
    while True:
        try:
            return work()
        except Exception as error:
            if not budget.allows(error):
                raise
            pause_s = next(pauses)
            log.warning("failed for a passing reason, and is repeated in %.0f s: %s", pause_s, error)
        sleep(pause_s)


def pauses_s() -> Iterator[float]:
    """How long to wait before each repetition of `repeat_transient`."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
