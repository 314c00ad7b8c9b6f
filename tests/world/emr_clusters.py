"""The lives of EMR clusters: moto keeps the records, and the timeline moves their states."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from moto.core import DEFAULT_ACCOUNT_ID
from moto.emr.models import Cluster, ElasticMapReduceBackend, emr_backends

from tests.world.bill import Bill
from tests.world.timeline import Timeline

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
STARTING_S, BOOTSTRAPPING_S, TERMINATING_S = 60, 120, 60


@dataclass(frozen=True)
class Reason:
    """Why a cluster ended: EMR's StateChangeReason."""

    code: str
    message: str


class EmrClusters:
    """`failures` end the next clusters while they start; `listed_after_s` delays ListClusters' view of new ones.

    `twins` are the names that two clusters bore at the same time.
    """

    def __init__(self, timeline: Timeline, region: str, bill: Bill) -> None:
        self._timeline, self._region, self._bill = timeline, region, bill
        self._reasons: dict[str, Reason] = {}
        self._hosts: dict[str, str] = {}
        self.failures: list[Reason] = []
        self.twins: set[str] = set()
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
        return any(self._hosts.get(cluster.id) == host and cluster.state == "WAITING" for cluster in self.all)

    def install(self, patches: ExitStack) -> None:
        """Take moto's place where it decides on states."""
        moto_list = ElasticMapReduceBackend.list_clusters

        def list_clusters(backend: ElasticMapReduceBackend, *args: Any, **kwargs: Any) -> list[Cluster]:
            return [cluster for cluster in moto_list(backend, *args, **kwargs) if self._is_listed(cluster)]

        for owner, name, value in (
            (ElasticMapReduceBackend, "list_clusters", list_clusters),
            (ElasticMapReduceBackend, "run_instances", lambda *_, **__: None),
            (Cluster, "run_bootstrap_actions", self._begin),
            (Cluster, "terminate", lambda cluster: self.end(cluster, "TERMINATED")),
            (Cluster, "master_public_dns_name", property(lambda cluster: self._hosts.get(cluster.id))),
            (Cluster, "status", property(self._status)),
        ):
            patches.enter_context(patch.object(owner, name, _method(value)))

    def end(self, cluster: Cluster, state: str, reason: Reason | None = None) -> None:
        """TERMINATING now, `state` a minute later; ending twice changes nothing."""
        if cluster.state in ("TERMINATING", *ENDED):
            return
        self._reasons[cluster.id] = reason or Reason("USER_REQUEST", "Terminated by user request")
        cluster.state = "TERMINATING"
        self._bill.end(cluster.id)
        self._timeline.later(TERMINATING_S, lambda: setattr(cluster, "state", state))

    def _begin(self, cluster: Cluster) -> None:
        cluster.creation_datetime = self._timeline.now()
        self._bill.begin(cluster.id)
        if [one.name for one in self.live].count(cluster.name) > 1:
            self.twins.add(cluster.name)
        failure = self.failures.pop(0) if self.failures else None
        self._timeline.later(STARTING_S, lambda: self._boot(cluster, failure))

    def _boot(self, cluster: Cluster, failure: Reason | None) -> None:
        if cluster.state != "STARTING":
            return
        cluster.state = "BOOTSTRAPPING"
        self._hosts[cluster.id] = f"{cluster.id.lower()}.world.test"
        self._timeline.later(BOOTSTRAPPING_S, lambda: self._finish(cluster, failure))

    def _finish(self, cluster: Cluster, failure: Reason | None) -> None:
        if cluster.state != "BOOTSTRAPPING":
            return
        if failure is None:
            cluster.state = "WAITING"
        else:
            self.end(cluster, "TERMINATED_WITH_ERRORS", failure)

    def _is_listed(self, cluster: Cluster) -> bool:
        age = self._timeline.now() - cluster.creation_datetime
        return age.total_seconds() >= self.listed_after_s

    def _status(self, cluster: Cluster) -> dict[str, Any]:
        reason = self._reasons.get(cluster.id)
        return {
            "State": cluster.state,
            "StateChangeReason": {"Code": reason.code, "Message": reason.message} if reason else {},
            "Timeline": {"CreationDateTime": cluster.creation_datetime},
        }


def _method(value: Any) -> Any:
    """A bound method of ours as a function that takes moto's `self` first."""
    return (lambda *args: value(*args)) if hasattr(value, "__self__") else value
