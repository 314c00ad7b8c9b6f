"""For how long each cluster was paid for."""

from __future__ import annotations

from datetime import datetime

from tests.world.timeline import Timeline


class Bill:
    """Clusters by id, from their request until AWS lets them go."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._since: dict[str, datetime] = {}
        self._lives_s: list[float] = []

    def begin(self, cluster: str) -> None:
        self._since[cluster] = self._timeline.now()

    def end(self, cluster: str) -> None:
        """Ending twice, or what was never begun here, changes nothing."""
        since = self._since.pop(cluster, None)
        if since is not None:
            self._lives_s.append((self._timeline.now() - since).total_seconds())

    def forget(self) -> None:
        """Leave what lives by now out of the bill."""
        self._since.clear()

    @property
    def lives_s(self) -> list[float]:
        """How long each lived, or has lived so far."""
        now = self._timeline.now()
        return [*self._lives_s, *((now - since).total_seconds() for since in self._since.values())]
