"""Decides when an Airflow component that died is restarted: a supervisor's rules, without the processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto

# As in Airflow's own systemd units (RestartSec=5s):
# https://github.com/apache/airflow/tree/main/scripts/systemd
RESTART_S = 5.0

# A component that dies more often than this is given up, as with systemd's StartLimitBurst.
_MAX_DEATHS = 5
_WITHIN_S = 120.0


class Decision(Enum):
    """What to do about a component that is dead."""

    REPORT = auto()  # it has died since the last check
    WAIT = auto()
    RESTART = auto()
    GIVE_UP = auto()


class RestartPolicy:
    """Remembers the deaths of each component."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: dict[str, list[float]] = {}
        self._dead: set[str] = set()

    def decide(self, name: str) -> Decision:
        """What to do now about `name`, which is dead. After RESTART it counts as alive."""
        now = self._clock()
        deaths = self._deaths.setdefault(name, [])
        if name not in self._dead:
            self._dead.add(name)
            deaths[:] = [*(death for death in deaths if now - death < _WITHIN_S), now]
            return Decision.GIVE_UP if len(deaths) > _MAX_DEATHS else Decision.REPORT
        if now - deaths[-1] < RESTART_S:
            return Decision.WAIT
        self._dead.discard(name)
        return Decision.RESTART
