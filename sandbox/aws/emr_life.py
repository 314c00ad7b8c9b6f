"""The states of an EMR cluster, and what moves it from one to the next.

STARTING, BOOTSTRAPPING, WAITING (RUNNING with steps), TERMINATING, and TERMINATED or TERMINATED_WITH_ERRORS:
https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-overview.html#emr-overview-cluster-lifecycle

moto keeps the records. The sandbox (`emr.py`) and tests/world each pass a schedule, durations, and what happens on
the machines.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.emr.exceptions import ValidationException
from moto.emr.models import Cluster, ElasticMapReduceBackend

from sandbox.aws.schedule import Schedule

logger = logging.getLogger(__name__)

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")


@dataclass(frozen=True)
class Reason:
    """Why a cluster ends: EMR's StateChangeReason."""

    code: str
    message: str


USER_REQUEST = Reason("USER_REQUEST", "Terminated by user request")
_STEPS_COMPLETED = Reason("ALL_STEPS_COMPLETED", "Steps completed")


@dataclass(frozen=True)
class Durations:
    """How long a cluster is in each passing state, in seconds."""

    starting_s: float
    bootstrapping_s: float
    terminating_s: float


class ClusterLife:
    """One cluster's life. Subclasses say how long its states last, and what its machines do."""

    def __init__(self, cluster: Cluster, schedule: Schedule) -> None:
        self.cluster, self._schedule = cluster, schedule
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def begin(self, *, invalid: Reason | None = None, boot_failure: Reason | None = None) -> None:
        """From STARTING on. `invalid` ends the cluster before there are machines, `boot_failure` as they boot."""
        self._set_groups("PROVISIONING")
        self._schedule.later(self._durations.starting_s, lambda: self._bootstrap(invalid, boot_failure))

    def end(self, state: str, reason: Reason) -> None:
        """TERMINATING at once, `state` when it is over. Ending twice is fine, and the first reason stays."""
        with self._lock:
            if self._ending.is_set():
                return
            self._ending.set()
            self.cluster.state = "TERMINATING"
            self.cluster.state_change_reason = {"Code": reason.code, "Message": reason.message}
        self._set_groups("SHUTTING_DOWN")
        logger.info("EMR %s: TERMINATING (%s: %s)", self.cluster.id, reason.code, reason.message)
        self._schedule.begin(lambda: self._shut_down(state))

    # What subclasses say

    @property
    def _durations(self) -> Durations:
        raise NotImplementedError

    def _assign_host(self) -> str:
        """The master's DNS name, from BOOTSTRAPPING on."""
        raise NotImplementedError

    def _boot(self) -> Reason | None:
        """Start what runs on the master; the reason where that failed."""
        return None

    def _serve(self) -> None:
        """Called once the cluster is up; may go on until it ends."""

    def _stop_machines(self) -> None:
        """Called as the cluster is TERMINATING."""

    def _release(self) -> None:
        """Called right before the cluster's last state."""

    # From state to state

    def _bootstrap(self, invalid: Reason | None, boot_failure: Reason | None) -> None:
        if invalid:
            self.end("TERMINATED_WITH_ERRORS", invalid)
        elif self._move("STARTING", "BOOTSTRAPPING"):
            self._schedule.later(self._durations.bootstrapping_s, lambda: self._come_up(boot_failure))

    def _come_up(self, boot_failure: Reason | None) -> None:
        if self._ending.is_set():
            return
        failure = boot_failure or self._boot()
        if failure:
            self.end("TERMINATED_WITH_ERRORS", failure)
            return
        self._move("BOOTSTRAPPING", "RUNNING" if self.cluster.steps else "WAITING")
        if not self.cluster.steps and not self.cluster.keep_job_flow_alive_when_no_steps:
            self.end("TERMINATED", _STEPS_COMPLETED)
        self._serve()

    def _move(self, before: str, after: str) -> bool:
        """Whether the cluster was in `before`, and now is in `after`."""
        with self._lock:
            if self.cluster.state != before or self._ending.is_set():
                return False
            if after == "BOOTSTRAPPING":
                self.cluster.master_dns = self._assign_host()
            else:
                self.cluster.ready_datetime = self._schedule.now()
                self.cluster.state_change_reason = {"Message": "Cluster ready to run steps."}
            self.cluster.state = after
        self._set_groups("BOOTSTRAPPING" if after == "BOOTSTRAPPING" else "RUNNING")
        logger.info("EMR %s (%s): %s -> %s", self.cluster.id, self.cluster.name, before, after)
        return True

    def _shut_down(self, state: str) -> None:
        self._stop_machines()
        self._schedule.later(self._durations.terminating_s, lambda: self._finish(state))

    def _finish(self, state: str) -> None:
        with self._lock:
            self._release()
            self.cluster.end_datetime = self._schedule.now()
            self.cluster.state = state
        self._set_groups("TERMINATED")
        logger.info("EMR %s: %s", self.cluster.id, state)

    def _set_groups(self, state: str) -> None:
        for group in self.cluster.instance_groups:
            group.state = state
            if state == "TERMINATED":
                group.end_date_time = self._schedule.now()


def install(life_of: Callable[[Cluster], ClusterLife]) -> None:
    """Patch moto: clusters are shown, and ended, by their lives."""

    def terminate(self: Cluster) -> None:
        life_of(self).end("TERMINATED", USER_REQUEST)

    moto_terminate = ElasticMapReduceBackend.terminate_job_flows

    def terminate_job_flows(self: ElasticMapReduceBackend, job_flow_ids: list[str]) -> list[Cluster]:
        for cluster_id in job_flow_ids:
            if cluster_id not in self.clusters:
                raise ValidationException("Specified job flow ID does not exist.")
        return moto_terminate(self, job_flow_ids)

    Cluster.master_public_dns_name = property(lambda self: getattr(self, "master_dns", None))
    Cluster.status = property(_status)
    Cluster.terminate = terminate
    ElasticMapReduceBackend.terminate_job_flows = terminate_job_flows


def _status(self: Cluster) -> dict[str, Any]:
    timeline = {
        "CreationDateTime": self.creation_datetime,
        "ReadyDateTime": self.ready_datetime,
        "EndDateTime": self.end_datetime,
    }
    return {
        "State": self.state,
        "StateChangeReason": getattr(self, "state_change_reason", {}),
        "Timeline": {name: value for name, value in timeline.items() if value},
    }
