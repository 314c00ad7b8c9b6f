"""The states of Redshift's clusters and snapshots, and what moves them from one to the next.

A cluster that is available refuses connections for a while yet: "Connection to …:5439 refused" is what Trino's tests
met a minute after `available` (trinodb/trino issues 27902 and 29011, and 25942: "Sometimes aws cli returns that cluster
is ready but you cannot connect to it").

A cluster is creating, available, final-snapshot, deleting, and gone, or pausing, paused and resuming; a snapshot is
creating, and available or failed:
https://docs.aws.amazon.com/redshift/latest/mgmt/working-with-clusters.html#rs-mgmt-cluster-status

moto keeps the records; what is refused in which state is in `redshift_api.py`. The sandbox (`redshift.py`) and
tests/world each pass a schedule, durations, and where the data is.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.redshift.models import Cluster, RedshiftBackend, Snapshot

from sandbox.aws.schedule import Schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Durations:
    """How long AWS's own work takes, in seconds."""

    creating_s: float
    refusing_s: float  # from available until it takes connections
    final_snapshot_s: float  # in the state final-snapshot
    final_available_s: float  # from the end of that state until the snapshot can be restored
    manual_snapshot_s: float
    deleting_s: float


class WarehouseLives:
    """All clusters' and snapshots' states. Subclasses say how long they last, and what becomes of the data."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.lock = threading.RLock()  # of whoever checks a state and then changes it

    def now(self) -> datetime:
        return self._schedule.now()

    def begin(self, cluster: Cluster, restored: Snapshot | None) -> None:
        """Bring up a cluster that moto has recorded, with a snapshot's data if there is one."""
        cluster.status = "creating"
        began = self.now()
        if restored:
            restored.restores = getattr(restored, "restores", 0) + 1
        self._add(cluster, restored)

        def arrive(state: str) -> None:
            if restored:
                restored.restores -= 1
            self._move(cluster, "creating", state)

        def bring_up() -> None:
            state = self._bring_up(cluster, restored)
            left_s = self._durations.creating_s - (self.now() - began).total_seconds()
            self._schedule.later(left_s, lambda: arrive(state))

        self._schedule.begin(bring_up)

    def delete(self, backend: RedshiftBackend, cluster: Cluster, final: Snapshot | None) -> None:
        """Take the final snapshot, if there is to be one, then forget the cluster."""
        cluster.status = "final-snapshot" if final else "deleting"

        def take_down() -> None:
            self._stop(cluster)
            if final:
                self._schedule.later(self._durations.final_snapshot_s, lambda: save(final))
            else:
                self._wind_up(backend, cluster)

        def save(final: Snapshot) -> None:
            self._finish(final, self._keep(final, cluster), self._durations.final_available_s)
            cluster.status = "deleting"
            self._wind_up(backend, cluster)

        self._schedule.begin(take_down)

    def snapshot(self, cluster: Cluster, snapshot: Snapshot) -> None:
        """Take a manual snapshot of a cluster that stays."""

        def take() -> None:
            self._finish(snapshot, self._keep_live(snapshot, cluster), self._durations.manual_snapshot_s)

        self._schedule.begin(take)

    def pause(self, cluster: Cluster) -> None:
        """The cluster is pausing by now."""

        def stop() -> None:
            self._stop(cluster)
            self._move(cluster, "pausing", "paused")

        self._schedule.begin(stop)

    def resume(self, cluster: Cluster) -> None:
        """The cluster is resuming by now."""
        self._schedule.begin(lambda: self._move(cluster, "resuming", self._start(cluster)))

    # What subclasses say

    @property
    def _durations(self) -> Durations:
        raise NotImplementedError

    def host_of(self, cluster: Cluster) -> str | None:
        """Where the cluster answers; None while it does not."""
        raise NotImplementedError

    def final_tags(self, cluster: Cluster) -> list[dict[str, str]]:
        """The tags that a final snapshot has from the start."""
        raise NotImplementedError

    def drop(self, snapshot: Snapshot) -> None:
        """Forget the data of a snapshot that was deleted."""
        raise NotImplementedError

    def _add(self, cluster: Cluster, restored: Snapshot | None) -> None:
        """Called at once when a cluster is made; may return before it has its data."""
        raise NotImplementedError

    def _bring_up(self, cluster: Cluster, restored: Snapshot | None) -> str:
        """Give a new cluster its data, and start it; the state that it comes to."""
        return "available"

    def _accept(self, cluster: Cluster) -> None:
        """The cluster, which is available, takes connections from now on."""
        raise NotImplementedError

    def _start(self, cluster: Cluster) -> str:
        """Start a cluster that was stopped; the state that it comes to."""
        return "available"

    def _stop(self, cluster: Cluster) -> None:
        """Nobody can use the cluster any more."""

    def _keep(self, snapshot: Snapshot, cluster: Cluster) -> bool:
        """Copy the data of a cluster that is stopped; whether that succeeded."""
        raise NotImplementedError

    def _keep_live(self, snapshot: Snapshot, cluster: Cluster) -> bool:
        """Copy the data of a cluster that is available; whether that succeeded."""
        return self._keep(snapshot, cluster)

    def _end_billing(self, cluster: Cluster) -> None:
        """Called when the cluster is deleting."""

    def _remove(self, cluster: Cluster) -> None:
        """Forget a cluster's data and address."""
        raise NotImplementedError

    # From state to state

    def _move(self, thing: Any, before: str, after: str) -> None:
        """Change the state of a cluster or snapshot, unless it is another one by now."""
        with self.lock:
            if thing.status != before:
                return
            thing.status = after
        logger.info("Redshift %s: %s -> %s", _name_of(thing), before, after)
        if isinstance(thing, Cluster) and after == "available":
            self._schedule.later(self._durations.refusing_s, lambda: self._let_in(thing))

    def _let_in(self, cluster: Cluster) -> None:
        with self.lock:
            if cluster.status == "available":
                self._accept(cluster)

    def _finish(self, snapshot: Snapshot, kept: bool, available_s: float) -> None:
        if kept:
            self._schedule.later(available_s, lambda: self._move(snapshot, "creating", "available"))
        else:
            self._move(snapshot, "creating", "failed")

    def _wind_up(self, backend: RedshiftBackend, cluster: Cluster) -> None:
        self._end_billing(cluster)

        def forget() -> None:
            self._remove(cluster)
            del backend.clusters[cluster.cluster_identifier]
            logger.info("Redshift %s: gone", cluster.cluster_identifier)

        self._schedule.later(self._durations.deleting_s, forget)


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "snapshot_identifier", thing.cluster_identifier))
