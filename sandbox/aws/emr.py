"""The life of an EMR cluster: STARTING, BOOTSTRAPPING, WAITING, TERMINATING, and an end.

Each cluster gets an address of its own and a Livy server there. moto keeps the records; this module gives
them their states, in a thread a cluster. Livy's death changes no state, as on AWS: the master's supervision
starts the server again, and its sessions are lost, since Livy's recovery is off unless it is asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.emr.models import Cluster

from sandbox import livy
from sandbox.addresses import LIVY_PORT
from sandbox.aws.context import ACCOUNT, AddressPool, Context
from sandbox.aws.workers import Worker, WorkerFailed, WorkerSpec, command_from, end_all, without_aws
from sandbox.machine import JarsUnavailable

logger = logging.getLogger(__name__)

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
_LIVY_BOOT_S = 120.0
_LIVY_LOOK_S = 0.2


@dataclass(frozen=True)
class Failure:
    """Why a cluster ends TERMINATED_WITH_ERRORS; `code` is EMR's StateChangeReason code."""

    code: str
    message: str


class Lives:
    """All clusters' lives, and the failures that tests ordered for clusters to come."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pool = AddressPool()
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {}
        self._next_failures: list[Failure] = []

    def begin(
        self, cluster: Cluster, *, role_name: str, livy_conf: Mapping[str, str], failure: Failure | None
    ) -> None:
        """Let a cluster that moto has recorded come to life; `failure` ends it before its machines start."""
        with self._lock:
            ordered = self._next_failures.pop(0) if self._next_failures else None
            life = Life(self._context, self._pool, cluster, LivySettings(role_name, livy_conf))
            self._lives[cluster.id] = life
        self._context.spawn(lambda: life.run(failure, ordered), f"emr-{cluster.id}")

    def of(self, cluster_id: str) -> Life:
        return self._lives[cluster_id]

    def fail(self, id_or_name: str, failure: Failure) -> bool:
        """End a live cluster with errors; False where none has that id or name."""
        for life in list(self._lives.values()):
            if id_or_name in (life.cluster.id, life.cluster.name) and life.cluster.state not in ENDED:
                life.end("TERMINATED_WITH_ERRORS", failure)
                return True
        return False

    def fail_next(self, failure: Failure) -> None:
        """Let the next cluster fail while it bootstraps."""
        with self._lock:
            self._next_failures.append(failure)

    def stop_all(self) -> None:
        """End every Livy server; the process is stopping."""
        end_all(life.stop_livy for life in list(self._lives.values()))


@dataclass(frozen=True)
class LivySettings:
    """What a cluster's Livy server is told: the EC2 role it acts in, and EMR's `livy-conf`."""

    role_name: str
    conf: Mapping[str, str]


class Life:
    """One cluster's life."""

    def __init__(self, context: Context, pool: AddressPool, cluster: Cluster, settings: LivySettings) -> None:
        self.cluster = cluster
        self._context, self._pool, self._settings = context, pool, settings
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._number: int | None = None
        self._worker: Worker | None = None
        self._livy_starts = 0

    def run(self, failure: Failure | None, ordered: Failure | None) -> None:
        """From STARTING to WAITING, or to whatever end comes first. `failure` comes before the machines are
        there, `ordered` after."""
        delay_s = self._context.delays.emr_s
        self._groups("PROVISIONING")
        if self._ending.wait(delay_s * 0.4):
            return
        if failure:
            self.end("TERMINATED_WITH_ERRORS", failure)
            return
        if not self._advance("STARTING", "BOOTSTRAPPING"):
            return
        if self._ending.wait(delay_s * 0.6):
            return
        try:
            if ordered:
                raise WorkerFailed(ordered.message)
            self._start_livy()
        except WorkerFailed as error:
            code = ordered.code if ordered else "BOOTSTRAP_FAILURE"
            message = str(error) if ordered else f"On the master instance, bootstrap action 1 failed: {error}"
            self.end("TERMINATED_WITH_ERRORS", Failure(code, message))
            return
        self._advance("BOOTSTRAPPING", "RUNNING" if self.cluster.steps else "WAITING")
        if not self.cluster.steps and not self.cluster.keep_job_flow_alive_when_no_steps:
            self.end("TERMINATED", Failure("ALL_STEPS_COMPLETED", "Steps completed"))
        self._keep_livy()

    def _advance(self, before: str, after: str) -> bool:
        with self._lock:
            if self.cluster.state != before or self._ending.is_set():
                return False
            if after == "BOOTSTRAPPING":
                self._number = self._pool.take()
                self.cluster.sandbox_dns = self._context.config.addresses.emr(self._number)
            else:
                self.cluster.ready_datetime = utcnow()
                self.cluster.sandbox_reason = {"Message": "Cluster ready to run steps."}
            self.cluster.state = after
        self._groups("BOOTSTRAPPING" if after == "BOOTSTRAPPING" else "RUNNING")
        logger.info("EMR %s (%s): %s -> %s", self.cluster.id, self.cluster.name, before, after)
        return True

    def _start_livy(self) -> None:
        host = self.cluster.sandbox_dns
        self._livy_starts += 1
        work_dir = self._context.state.emr / self.cluster.id / f"livy-{self._livy_starts}"
        work_dir.mkdir(parents=True)
        try:
            spec = WorkerSpec(
                name=f"Livy of {self.cluster.id}",
                command=self._command(host, work_dir),
                log=self._context.state.logs / f"livy-{self.cluster.id}.log",
                environment=livy.environment(work_dir, self._environment()),
            )
        except (JarsUnavailable, OSError, SystemExit) as error:
            raise WorkerFailed(f"Livy cannot be started here: {error}") from error
        with self._lock:
            if self._ending.is_set():
                raise WorkerFailed("the cluster was terminated while it started")
            worker = self._worker = Worker(spec)
        worker.wait_http(f"http://{host}:{LIVY_PORT}/sessions", _LIVY_BOOT_S, self._ending)

    def _keep_livy(self) -> None:
        """Start a server that died anew, until the cluster ends."""
        while not self._ending.wait(_LIVY_LOOK_S):
            if self._livy_is_dead() and not self._ending.wait(self._context.config.livy_restart_s):
                logger.info("EMR %s: Livy died and is started anew", self.cluster.id)
                self.stop_livy()
                try:
                    self._start_livy()
                except WorkerFailed as error:
                    logger.warning("EMR %s: Livy does not start: %s", self.cluster.id, error)

    def _livy_is_dead(self) -> bool:
        worker = self._worker
        return worker is not None and not worker.alive

    def _command(self, host: str, work_dir: Path) -> list[str]:
        template = self._context.config.livy_command
        if template:
            return command_from(template, host=host, port=LIVY_PORT, work_dir=work_dir)
        return livy.command(host, LIVY_PORT, work_dir, self._settings.conf)

    def _environment(self) -> dict[str, str]:
        """The access key names the cluster's EC2 role: the call log tells Spark's calls from Airflow's."""
        region = self.cluster.emr_backend.region_name
        return {
            **without_aws(),
            "AWS_ENDPOINT_URL": self._context.config.url,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "AWS_ACCESS_KEY_ID": f"role-{self._settings.role_name}",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "SANDBOX_NET": str(self._context.config.addresses.net),
        }

    def end(self, state: str, reason: Failure) -> None:
        """TERMINATING at once, `state` when Livy is gone; ending twice is fine, the first reason stays."""
        with self._lock:
            if self._ending.is_set():
                return
            self._ending.set()
            self.cluster.state = "TERMINATING"
            self.cluster.sandbox_reason = {"Code": reason.code, "Message": reason.message}
        self._groups("SHUTTING_DOWN")
        logger.info("EMR %s: TERMINATING (%s: %s)", self.cluster.id, reason.code, reason.message)
        self._context.spawn(lambda: self._finish(state), f"emr-end-{self.cluster.id}")

    def _finish(self, state: str) -> None:
        self.stop_livy()
        self._context.stopping.wait(self._context.delays.emr_s * 0.3)
        self._end_instances()
        with self._lock:
            self.cluster.end_datetime = utcnow()
            self.cluster.state = state
            if self._number is not None:
                self._pool.give_back(self._number)
        self._groups("TERMINATED")
        logger.info("EMR %s: %s", self.cluster.id, state)

    def stop_livy(self) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker:
            worker.stop()

    def _end_instances(self) -> None:
        ids = [instance.ec2_instance_id for instance in self.cluster.ec2_instances]
        if ids:
            ec2_backends[ACCOUNT][self.cluster.emr_backend.region_name].terminate_instances(ids)

    def _groups(self, state: str) -> None:
        for group in self.cluster.instance_groups:
            group.state = state
            if state == "TERMINATED":
                group.end_date_time = utcnow()
