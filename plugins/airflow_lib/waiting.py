"""Clocks and deadlines. Nobody else asks what time it is, and nobody here sleeps.

Waiting itself is a step's: it answers `Waiting`, and whoever drives it (Airflow's triggerer, a test) polls.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from airflow_lib.errors import WaitTimeout


class Clock(Protocol):
    """Tells the time; tests bring their own."""

    def now(self) -> datetime:
        """Now, in UTC."""
        ...


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def check_deadline(clock: Clock, deadline: datetime, *, thing: str, seen: str, mend: str) -> None:
    """Raise WaitTimeout, telling the last state seen and what to do, once the deadline has passed."""
    if clock.now() >= deadline:
        raise WaitTimeout(f"{thing} was still {seen} at its deadline ({deadline:%H:%M:%S} UTC). {mend}")
