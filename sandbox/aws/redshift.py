"""The life of a warehouse: creating, available, final-snapshot, deleting, gone; pausing and resuming.

Each gets an address of its own and a Redshift front there, whose data directory is what snapshots keep.
moto keeps the records; this module gives them their states and processes, in a thread an operation.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
import time
from pathlib import Path

from moto.redshift.models import Cluster, RedshiftBackend, Snapshot

from sandbox.aws.context import AddressPool, Context
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


class Warehouses:
    """All warehouses' lives."""

    def __init__(self, context: Context, snapshots: SnapshotStore) -> None:
        self._context, self.snapshots = context, snapshots
        self._pool = AddressPool()
        self._running: dict[str, Warehouse] = {}

    def begin(self, cluster: Cluster, restored: Snapshot | None) -> None:
        """Bring up a cluster that moto has recorded, with a snapshot's data if there is one."""
        warehouse = Warehouse(self._context, self._pool.take(), cluster)
        cluster.sandbox_address = warehouse.host
        cluster.sandbox_up = False
        self._running[cluster.cluster_identifier] = warehouse
        data = self.snapshots.data(restored.snapshot_identifier) if restored else None

        def work() -> None:
            try:
                warehouse.create(data)
            finally:
                if restored:
                    restored.sandbox_restoring -= 1

        if restored:
            restored.sandbox_restoring = getattr(restored, "sandbox_restoring", 0) + 1
        self._context.spawn(work, f"redshift-{cluster.cluster_identifier}")

    def delete(self, backend: RedshiftBackend, cluster: Cluster, final: Snapshot | None) -> None:
        """Take the final snapshot, end the process, then forget the cluster."""
        warehouse = self._running[cluster.cluster_identifier]

        def work() -> None:
            with warehouse.lock:
                warehouse.stop()
            if final and self._keep(final, warehouse):
                self._finish_snapshot(final)
            cluster.status = "deleting"
            self._context.stopping.wait(self._context.delays.redshift_s * 0.5)
            shutil.rmtree(warehouse.data_dir.parent, ignore_errors=True)
            del self._running[cluster.cluster_identifier]
            del backend.clusters[cluster.cluster_identifier]
            self._pool.give_back(warehouse.number)
            logger.info("Redshift %s: gone", cluster.cluster_identifier)

        self._context.spawn(work, f"redshift-delete-{cluster.cluster_identifier}")

    def snapshot(self, cluster: Cluster, snapshot: Snapshot) -> None:
        """Take a manual snapshot. Unlike on AWS the warehouse is down for the copy, and its connections
        break; it is up again before the snapshot is available."""
        warehouse = self._running[cluster.cluster_identifier]

        def work() -> None:
            with warehouse.lock:
                warehouse.stop()
                kept = self._keep(snapshot, warehouse)
                if cluster.status == "available":
                    warehouse.start()
            if kept:
                self._finish_snapshot(snapshot)

        self._context.spawn(work, f"redshift-snapshot-{snapshot.snapshot_identifier}")

    def pause(self, cluster: Cluster) -> None:
        warehouse = self._running[cluster.cluster_identifier]

        def work() -> None:
            with warehouse.lock:
                warehouse.stop()
            cluster.status = "paused"

        self._context.spawn(work, f"redshift-pause-{cluster.cluster_identifier}")

    def resume(self, cluster: Cluster) -> None:
        warehouse = self._running[cluster.cluster_identifier]
        self._context.spawn(warehouse.start, f"redshift-resume-{cluster.cluster_identifier}")

    def stop_all(self) -> None:
        """End every warehouse cleanly; the process is stopping."""
        end_all(warehouse.stop for warehouse in list(self._running.values()))

    def _keep(self, snapshot: Snapshot, warehouse: Warehouse) -> bool:
        """Copy the data of a warehouse that is down; False where that failed."""
        try:
            self.snapshots.keep(snapshot, warehouse.data_dir)
        except subprocess.CalledProcessError as error:
            snapshot.status = "failed"
            logger.exception("snapshot %s failed: %s", snapshot.snapshot_identifier, error.stderr)
            return False
        return True

    def _finish_snapshot(self, snapshot: Snapshot) -> None:
        self._context.stopping.wait(self._context.delays.redshift_s * 0.5)
        snapshot.status = "available"
        logger.info("snapshot %s: available", snapshot.snapshot_identifier)


class Warehouse:
    """One warehouse's process and data."""

    def __init__(self, context: Context, number: int, cluster: Cluster) -> None:
        self._context, self.number, self._cluster = context, number, cluster
        self.host = context.config.addresses.redshift(number)
        name = f"{cluster.cluster_identifier}-{cluster.unique_cluster_id}"
        self.data_dir: Path = context.state.redshift / name / "data"
        self.lock = threading.Lock()
        self._worker: Worker | None = None

    def create(self, data: Path | None) -> None:
        """Start with `data`, or empty; available no sooner than AWS's delay has passed."""
        started = time.monotonic()
        self.data_dir.parent.mkdir(parents=True)
        self.data_dir.parent.chmod(0o755)
        try:
            if data:
                copy_data(data, self.data_dir)
        except subprocess.CalledProcessError as error:
            logger.exception(
                "Redshift %s: its data cannot be copied: %s", self._cluster.cluster_identifier, error.stderr
            )
            self._cluster.status = "incompatible-restore"
            return
        left_s = self._context.delays.redshift_s - (time.monotonic() - started)
        self.start(at_least_s=left_s)

    def start(self, at_least_s: float = 0.0) -> None:
        """Start the process on what lies in the data directory, and be available."""
        started = time.monotonic()
        cluster = self._cluster
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
            cluster.status = "hardware-failure"
            self.stop()
            return
        self._context.stopping.wait(max(0.0, at_least_s - (time.monotonic() - started)))
        cluster.sandbox_up = True
        if cluster.status in _COMING_UP:
            cluster.status = "available"
        logger.info("Redshift %s: available at %s:%s", cluster.cluster_identifier, self.host, cluster.port)

    def stop(self) -> None:
        """End the process; PostgreSQL first checkpoints, so that the data directory is whole."""
        self._cluster.sandbox_up = False
        worker, self._worker = self._worker, None
        if worker:
            worker.stop_cleanly()

    def _command(self) -> list[str]:
        values = {
            "host": self.host,
            "port": self._cluster.port,
            "data_dir": self.data_dir,
            "cluster_id": self._cluster.cluster_identifier,
            "database": self._cluster.db_name,
            "admin_user": self._cluster.master_username,
            "aws_url": self._context.config.url,
        }
        template = self._context.config.redshift_command
        return command_from(template, **values) if template else module_command("sandbox.redshift", **values)
