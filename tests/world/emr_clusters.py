"""EMR clusters: moto keeps the records, `sandbox.aws.emr_life` their states, and the timeline says when they change."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.emr.models import Cluster, ElasticMapReduceBackend, emr_backends

from sandbox.aws import emr_life
from sandbox.aws.emr_life import ENDED, USER_REQUEST, ClusterLife, Durations, Reason
from tests.world.bill import Bill
from tests.world.late import IamLag
from tests.world.patching import restore_after
from tests.world.timeline import Timeline

DURATIONS = Durations(starting_s=60, bootstrapping_s=120, terminating_s=60)


class EmrClusters:
    """`failures` end the next clusters while they boot; `listed_after_s` delays ListClusters' view of new ones.

    `duplicates` are the names that two clusters had at the same time.
    """

    def __init__(self, timeline: Timeline, region: str, bill: Bill, lag: IamLag) -> None:
        self._timeline, self._region, self._bill, self._lag = timeline, region, bill, lag
        self._lives: dict[str, _Life] = {}
        self.failures: list[Reason] = []
        self.duplicates: set[str] = set()
        self.listed_after_s = 0.0

    @property
    def all(self) -> list[Cluster]:
        """Every cluster there ever was, oldest first."""
        return list(emr_backends[DEFAULT_ACCOUNT_ID][self._region].clusters.values())

    @property
    def live(self) -> list[Cluster]:
        return [cluster for cluster in self.all if cluster.state not in ENDED]

    def serves(self, host: str) -> bool:
        """Whether a cluster that can run Livy has this address."""
        return any(
            cluster.master_public_dns_name == host and cluster.state == "WAITING" for cluster in self.all
        )

    def install(self, patches: ExitStack) -> None:
        """Patch moto, which would decide on states by itself."""
        restore_after(patches, Cluster, ElasticMapReduceBackend)
        emr_life.install(lambda cluster: self._lives[cluster.id])
        moto_list = ElasticMapReduceBackend.list_clusters

        def list_clusters(backend: ElasticMapReduceBackend, *args: Any, **kwargs: Any) -> list[Cluster]:
            return [cluster for cluster in moto_list(backend, *args, **kwargs) if self._is_listed(cluster)]

        ElasticMapReduceBackend.list_clusters = list_clusters
        ElasticMapReduceBackend.run_instances = lambda *_, **__: None
        Cluster.run_bootstrap_actions = lambda cluster: self._begin(cluster)

    def end(self, cluster: Cluster, state: str, reason: Reason = USER_REQUEST) -> None:
        """TERMINATING now, `state` a minute later; ending twice changes nothing."""
        self._lives[cluster.id].end(state, reason)

    def _begin(self, cluster: Cluster) -> None:
        cluster.creation_datetime = self._timeline.now()
        if [one.name for one in self.live].count(cluster.name) > 1:
            self.duplicates.add(cluster.name)
        life = self._lives[cluster.id] = _Life(cluster, self._timeline, self._bill)
        doom = self._lag.find_doom(cluster.service_role)
        life.begin(invalid=doom, boot_failure=self.failures.pop(0) if self.failures and not doom else None)

    def _is_listed(self, cluster: Cluster) -> bool:
        age = self._timeline.now() - cluster.creation_datetime
        return age.total_seconds() >= self.listed_after_s


class _Life(ClusterLife):
    """A cluster whose machines do nothing, but cost money until it is TERMINATING."""

    def __init__(self, cluster: Cluster, timeline: Timeline, bill: Bill) -> None:
        super().__init__(cluster, timeline)
        self._bill = bill
        bill.begin(cluster.id)

    @property
    def _durations(self) -> Durations:
        return DURATIONS

    def _assign_host(self) -> str:
        return f"{self.cluster.id.lower()}.world.test"

    def _stop_machines(self) -> None:
        self._bill.end(self.cluster.id)
