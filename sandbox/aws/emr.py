"""The machines of EMR clusters: each cluster gets an address of its own and a Livy server there.

The states are `emr_life.py`'s. Livy's death changes no state, as on AWS: the master's supervision starts the server
again, and its sessions are lost, since Livy's recovery is off unless it is asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moto.ec2.models import ec2_backends
from moto.emr.models import Cluster

from sandbox import livy
from sandbox.addresses import LIVY_PORT
from sandbox.aws.context import ACCOUNT, AddressPool, Context
from sandbox.aws.emr_life import ENDED, ClusterLife, Durations, Reason
from sandbox.aws.schedule import RealTime
from sandbox.aws.workers import Worker, WorkerFailed, WorkerSpec, command_from, end_all, without_aws
from sandbox.machine import JarsUnavailable

logger = logging.getLogger(__name__)


_LIVY_BOOT_S = 120.0
_LIVY_POLL_S = 0.2


class Lives:
    """All clusters' lives, and the failures that tests ordered for clusters to come."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pool = AddressPool()
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {}
        self._next_failures: list[Reason] = []

    def begin(self, cluster: Cluster, settings: LivySettings, invalid: Reason | None) -> None:
        """Let a cluster that moto has recorded come to life; `invalid` ends it before its machines start."""
        with self._lock:
            boot_failure = self._next_failures.pop(0) if self._next_failures else None
            life = Life(self._context, self._pool, cluster, settings)
            self._lives[cluster.id] = life
        life.begin(invalid=invalid, boot_failure=boot_failure)

    def of(self, cluster: Cluster) -> Life:
        return self._lives[cluster.id]

    def fail(self, id_or_name: str, failure: Reason) -> bool:
        """End a live cluster with errors; False where none has that id or name."""
        for life in list(self._lives.values()):
            if id_or_name in (life.cluster.id, life.cluster.name) and life.cluster.state not in ENDED:
                life.end("TERMINATED_WITH_ERRORS", failure)
                return True
        return False

    def fail_next(self, failure: Reason) -> None:
        """Let the next cluster fail while it bootstraps."""
        with self._lock:
            self._next_failures.append(failure)

    def stop_all(self) -> None:
        """End every Livy server; the process is stopping."""
        end_all(life.stop_livy for life in list(self._lives.values()))


@dataclass(frozen=True)
class LivySettings:
    """What a cluster's Livy server is given: the EC2 role it acts in, and EMR's `livy-conf` and `livy-env`."""

    role_name: str
    conf: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Life(ClusterLife):
    """One cluster's life, with a Livy server on its master."""

    def __init__(self, context: Context, pool: AddressPool, cluster: Cluster, settings: LivySettings) -> None:
        super().__init__(cluster, RealTime(context))
        self._context, self._pool, self._settings = context, pool, settings
        self._number: int | None = None
        self._worker: Worker | None = None
        self._livy_starts = 0

    @property
    def _durations(self) -> Durations:
        delay_s = self._context.delays.emr_s
        return Durations(starting_s=delay_s * 0.4, bootstrapping_s=delay_s * 0.6, terminating_s=delay_s * 0.3)

    def _assign_host(self) -> str:
        self._number = self._pool.take()
        return self._context.config.addresses.emr(self._number)

    def _boot(self) -> Reason | None:
        try:
            self._start_livy()
        except WorkerFailed as error:
            message = f"On the master instance, bootstrap action 1 failed: {error}"
            return Reason("BOOTSTRAP_FAILURE", message)
        return None

    def _start_livy(self) -> None:
        host = self.cluster.master_dns
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
        scheme = "https" if self._certificate else "http"
        url = f"{scheme}://{host}:{LIVY_PORT}/sessions"
        worker.wait_http(url, _LIVY_BOOT_S, self._ending, certificate=self._certificate)

    @property
    def _certificate(self) -> Path | None:
        """The file with the certificate of the cluster's Livy, the same after a restart; None: plain HTTP."""
        if self._context.config.livy_command or not livy.speaks_tls(self.cluster.release_label):
            return None
        return self._context.state.emr / self.cluster.id / livy.CERTIFICATE

    def _serve(self) -> None:
        """Replace a server that died, until the cluster ends."""
        while not self._ending.wait(_LIVY_POLL_S):
            if self._livy_is_dead() and not self._ending.wait(self._context.config.livy_restart_s):
                logger.info("EMR %s: Livy died and is replaced", self.cluster.id)
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
        certificate = self._certificate
        return livy.command(
            host,
            LIVY_PORT,
            work_dir,
            self._settings.conf,
            certificate=certificate,
            plain=certificate is None,
        )

    def _environment(self) -> dict[str, str]:
        """The access key names the cluster's EC2 role, so that the call log tells Spark's calls from Airflow's."""
        region = self.cluster.emr_backend.region_name
        return {
            **without_aws(),
            **self._settings.environment,
            "AWS_ENDPOINT_URL": self._context.config.url,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "AWS_ACCESS_KEY_ID": f"role-{self._settings.role_name}",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "SANDBOX_NET": str(self._context.config.addresses.net),
        }

    def _stop_machines(self) -> None:
        self.stop_livy()

    def stop_livy(self) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker:
            worker.stop()

    def _release(self) -> None:
        ids = [instance.ec2_instance_id for instance in self.cluster.ec2_instances]
        if ids:
            ec2_backends[ACCOUNT][self.cluster.emr_backend.region_name].terminate_instances(ids)
        if self._number is not None:
            self._pool.give_back(self._number)
