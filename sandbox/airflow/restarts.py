"""When a component of Airflow that died is started again: a supervisor's rule, without the processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto

# As Airflow's own systemd units have it (RestartSec=5s):
# https://github.com/apache/airflow/tree/main/scripts/systemd
RESTART_S = 5.0

# One that dies this often in this time does not mend by itself: systemd's StartLimitBurst.
_DEATHS_AT_MOST = 5
_WITHIN_S = 120.0


class Judgement(Enum):
    """What to do of a component that is dead."""

    NEWS = auto()  # it was alive when last looked at
    WAIT = auto()
    START = auto()
    GIVE_UP = auto()


class Restarts:
    """Remembers the deaths of each component."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: dict[str, list[float]] = {}
        self._dead: set[str] = set()

    def judge(self, name: str) -> Judgement:
        """What to do now of `name`, which is dead. After START it counts as alive."""
        now = self._clock()
        deaths = self._deaths.setdefault(name, [])
        if name not in self._dead:
            self._dead.add(name)
            deaths[:] = [*(death for death in deaths if now - death < _WITHIN_S), now]
            return Judgement.GIVE_UP if len(deaths) > _DEATHS_AT_MOST else Judgement.NEWS
        if now - deaths[-1] < RESTART_S:
            return Judgement.WAIT
        self._dead.discard(name)
        return Judgement.START
