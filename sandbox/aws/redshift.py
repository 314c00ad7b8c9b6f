"""The processes and data of warehouses: each gets an address of its own and a Redshift front there.

The states are `redshift_life.py`'s. A front's data directory is what snapshots keep.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from pathlib import Path

from moto.redshift.models import Cluster, Snapshot

from sandbox.aws.context import AddressPool, Context
from sandbox.aws.redshift_life import Durations, WarehouseLives
from sandbox.aws.schedule import RealTime
from sandbox.aws.snapshots import SnapshotStore, copy_data
from sandbox.aws.workers import (
    Worker,
    WorkerFailed,
    WorkerSpec,
    command_from,
    end_all,
    module_command,
    without_aws,
)

logger = logging.getLogger(__name__)

_BOOT_S = 120.0
_COMING_UP = ("creating", "resuming")


class Warehouses(WarehouseLives):
    """All warehouses' lives, with a process for each."""

    def __init__(self, context: Context, snapshots: SnapshotStore) -> None:
        super().__init__(RealTime(context))
        self._context, self.snapshots = context, snapshots
        self._pool = AddressPool()
        self._running: dict[str, Warehouse] = {}

    @property
    def _durations(self) -> Durations:
        delay_s = self._context.delays.redshift_s
        return Durations(
            creating_s=delay_s,
            refusing_s=self._context.delays.redshift_refusing_s,
            final_snapshot_s=delay_s * 0.5,
            final_available_s=0.0,
            manual_snapshot_s=delay_s * 0.5,
            deleting_s=delay_s * 0.5,
        )

    def host_of(self, cluster: Cluster) -> str | None:
        warehouse = self._running.get(cluster.cluster_identifier)
        is_up = warehouse is not None and warehouse.is_up and cluster.status not in _COMING_UP
        return warehouse.host if warehouse and is_up else None

    def final_tags(self, cluster: Cluster) -> list[dict[str, str]]:
        return list(cluster.tags)

    def drop(self, snapshot: Snapshot) -> None:
        self.snapshots.drop(snapshot.snapshot_identifier)

    def stop_all(self) -> None:
        """End every warehouse cleanly; the process is stopping."""
        end_all(warehouse.stop for warehouse in list(self._running.values()))

    def _add(self, cluster: Cluster, restored: Snapshot | None) -> None:
        self._running[cluster.cluster_identifier] = Warehouse(self._context, self._pool.take(), cluster)

    def _bring_up(self, cluster: Cluster, restored: Snapshot | None) -> str:
        data = self.snapshots.data(restored.snapshot_identifier) if restored else None
        return self._running[cluster.cluster_identifier].create(data)

    def _accept(self, cluster: Cluster) -> None:
        self._running[cluster.cluster_identifier].accept()

    def _start(self, cluster: Cluster) -> str:
        return self._running[cluster.cluster_identifier].start()

    def _stop(self, cluster: Cluster) -> None:
        warehouse = self._running[cluster.cluster_identifier]
        with warehouse.lock:
            warehouse.stop()

    def _keep(self, snapshot: Snapshot, cluster: Cluster) -> bool:
        try:
            self.snapshots.keep(snapshot, self._running[cluster.cluster_identifier].data_dir)
        except subprocess.CalledProcessError as error:
            logger.exception("snapshot %s failed: %s", snapshot.snapshot_identifier, error.stderr)
            return False
        return True

    def _keep_live(self, snapshot: Snapshot, cluster: Cluster) -> bool:
        """Unlike on AWS the warehouse is down for the copy, and its connections break; it is up again before the
        snapshot is available."""
        warehouse = self._running[cluster.cluster_identifier]
        with warehouse.lock:
            warehouse.stop()
            kept = self._keep(snapshot, cluster)
            if cluster.status == "available":
                self._move(cluster, "available", warehouse.start())
        return kept

    def _remove(self, cluster: Cluster) -> None:
        warehouse = self._running.pop(cluster.cluster_identifier)
        shutil.rmtree(warehouse.data_dir.parent, ignore_errors=True)
        self._pool.give_back(warehouse.number)


class Warehouse:
    """One warehouse's process and data."""

    def __init__(self, context: Context, number: int, cluster: Cluster) -> None:
        self._context, self.number, self._cluster = context, number, cluster
        self.host = context.config.addresses.redshift(number)
        name = f"{cluster.cluster_identifier}-{cluster.unique_cluster_id}"
        self.data_dir: Path = context.state.redshift / name / "data"
        self._accepting = self.data_dir.parent / "accepting"  # where it is, the process takes connections
        self.lock = threading.Lock()
        self.is_up = False
        self._worker: Worker | None = None

    def create(self, data: Path | None) -> str:
        """Start with `data`, or empty; the state that the cluster comes to."""
        self.data_dir.parent.mkdir(parents=True)
        self.data_dir.parent.chmod(0o755)
        try:
            if data:
                copy_data(data, self.data_dir)
        except subprocess.CalledProcessError as error:
            logger.exception(
                "Redshift %s: its data cannot be copied: %s", self._cluster.cluster_identifier, error.stderr
            )
            return "incompatible-restore"
        return self.start()

    def start(self) -> str:
        """Start the process on what lies in the data directory; the state that the cluster comes to."""
        cluster = self._cluster
        self._accepting.unlink(missing_ok=True)
        self._worker = Worker(
            WorkerSpec(
                name=f"Redshift {cluster.cluster_identifier}",
                command=self._command(),
                log=self._context.state.logs / f"redshift-{self.data_dir.parent.name}.log",
                environment={
                    **without_aws(),
                    "AWS_ENDPOINT_URL": self._context.config.url,
                    "AWS_DEFAULT_REGION": cluster.region,
                    "AWS_ACCESS_KEY_ID": f"redshift-{cluster.cluster_identifier}",
                    "AWS_SECRET_ACCESS_KEY": "sandbox",
                    "SANDBOX_NET": str(self._context.config.addresses.net),
                },
            )
        )
        try:
            self._worker.wait_ready_line(_BOOT_S, self._context.stopping)
        except WorkerFailed:
            logger.exception("Redshift %s failed", cluster.cluster_identifier)
            self.stop()
            return "hardware-failure"
        self.is_up = True
        logger.info("Redshift %s runs", cluster.cluster_identifier)
        return "available"

    def accept(self) -> None:
        """Let the process take connections; until then it refuses them."""
        self._accepting.touch()
        logger.info(
            "Redshift %s listens at %s:%s", self._cluster.cluster_identifier, self.host, self._cluster.port
        )

    def stop(self) -> None:
        """End the process; PostgreSQL first checkpoints, so that the data directory is whole."""
        self.is_up = False
        worker, self._worker = self._worker, None
        if worker:
            worker.stop_cleanly()

    def _command(self) -> list[str]:
        values = {
            "host": self.host,
            "port": self._cluster.port,
            "data_dir": self.data_dir,
            "accepting_file": self._accepting,
            "cluster_id": self._cluster.cluster_identifier,
            "database": self._cluster.db_name,
            "admin_user": self._cluster.master_username,
            "aws_url": self._context.config.url,
        }
        template = self._context.config.redshift_command
        return command_from(template, **values) if template else module_command("sandbox.redshift", **values)
