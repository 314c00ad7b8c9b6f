"""The lives of warehouses and their snapshots, and what each of them holds."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from moto.core import DEFAULT_ACCOUNT_ID
from moto.redshift.exceptions import ClusterSnapshotAlreadyExistsError, RedshiftClientError
from moto.redshift.models import Cluster, RedshiftBackend, Snapshot, redshift_backends

from tests.world.bill import Bill
from tests.world.sqlite_redshift import empty, read_tables
from tests.world.timeline import Timeline

CREATING_S, SNAPSHOT_S, DELETING_S = 180, 60, 60


class Warehouses:
    """`contents` is what each warehouse holds, `kept` what each snapshot does, as `sqlite_redshift` reads it.

    `failing_snapshots` is how many of the next final snapshots are lost with their cluster.
    """

    def __init__(self, timeline: Timeline, region: str, bill: Bill) -> None:
        self._timeline, self._region, self._bill = timeline, region, bill
        self.contents: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.failing_snapshots = 0

    @property
    def backend(self) -> RedshiftBackend:
        return redshift_backends[DEFAULT_ACCOUNT_ID][self._region]

    @property
    def live(self) -> list[Cluster]:
        return list(self.backend.clusters.values())

    @property
    def snapshots(self) -> dict[str, str]:
        """Name to state of every manual snapshot."""
        return {
            name: snapshot.status
            for name, snapshot in self.backend.snapshots.items()
            if snapshot.snapshot_type == "manual"
        }

    @property
    def loads(self) -> dict[str, set[str]]:
        """The runs whose load each warehouse holds."""
        return {name: _run_ids(content) for name, content in self.contents.items()}

    @property
    def saved(self) -> dict[str, set[str]]:
        """The runs whose load each snapshot holds that is there."""
        return {name: _run_ids(content) for name, content in self.kept.items() if name in self.snapshots}

    def find_open(self, name: str) -> Cluster | None:
        """The warehouse of that name where one can enter it."""
        cluster = self.backend.clusters.get(name)
        return cluster if cluster is not None and cluster.status == "available" else None

    def install(self, patches: ExitStack) -> None:
        """Take moto's place where it decides on states."""
        moto_create, moto_restore = (
            RedshiftBackend.create_cluster,
            RedshiftBackend.restore_from_cluster_snapshot,
        )
        moto_drop_group = RedshiftBackend.delete_cluster_subnet_group
        moto_make_group = RedshiftBackend.create_cluster_subnet_group
        world = self

        def create_cluster(self: RedshiftBackend, **request: Any) -> Cluster:
            return world._begin(moto_create(self, **request))

        def restore(self: RedshiftBackend, **request: Any) -> Cluster:
            kept = world.kept.get(request["snapshot_identifier"], empty())
            cluster = moto_restore(self, **request)
            world.contents[cluster.cluster_identifier] = kept
            return cluster

        def delete_cluster(self: RedshiftBackend, **request: Any) -> Cluster:
            return world._delete(self.describe_clusters(request["cluster_identifier"])[0], request)

        def make_group(self: RedshiftBackend, cluster_subnet_group_name: str, **request: Any) -> Any:
            if cluster_subnet_group_name in self.subnet_groups:
                raise _refusal("ClusterSubnetGroupAlreadyExists", cluster_subnet_group_name)
            return moto_make_group(self, cluster_subnet_group_name=cluster_subnet_group_name, **request)

        def drop_group(self: RedshiftBackend, subnet_identifier: str) -> Any:
            if any(one.cluster_subnet_group_name == subnet_identifier for one in self.clusters.values()):
                raise _refusal("InvalidClusterSubnetGroupStateFault", f"{subnet_identifier} is in use")
            return moto_drop_group(self, subnet_identifier)

        for name, value in (
            ("create_cluster", create_cluster),
            ("restore_from_cluster_snapshot", restore),
            ("delete_cluster", delete_cluster),
            ("create_cluster_subnet_group", make_group),
            ("delete_cluster_subnet_group", drop_group),
        ):
            patches.enter_context(patch.object(RedshiftBackend, name, value))
        patches.enter_context(patch.object(Cluster, "endpoint", property(_endpoint)))

    def _begin(self, cluster: Cluster) -> Cluster:
        self.backend.delete_automated_snapshots(cluster.cluster_identifier)
        self.contents.setdefault(cluster.cluster_identifier, empty())
        cluster.status = "creating"
        self._bill.begin(cluster.cluster_identifier)
        self._timeline.later(CREATING_S, lambda: _move(cluster, "creating", "available"))
        return cluster

    def _delete(self, cluster: Cluster, request: dict[str, Any]) -> Cluster:
        if cluster.status != "available":
            raise _refusal("InvalidClusterState", f"There is an operation running on it: {cluster.status}")
        final = request["final_cluster_snapshot_identifier"]
        if final is None:
            self._wind_up(cluster)
            return cluster
        if final in self.backend.snapshots:
            raise ClusterSnapshotAlreadyExistsError(final)
        snapshot = Snapshot(cluster, final, DEFAULT_ACCOUNT_ID, self._region, [])
        snapshot.status, snapshot.create_time = "creating", self._timeline.now()
        self.backend.snapshots[final] = snapshot
        cluster.status = "final-snapshot"
        self._timeline.later(SNAPSHOT_S, lambda: self._save(cluster, snapshot))
        return cluster

    def _save(self, cluster: Cluster, snapshot: Snapshot) -> None:
        if self.failing_snapshots:
            self.failing_snapshots -= 1
            snapshot.status = "failed"
        else:
            self.kept[snapshot.snapshot_identifier] = self.contents[cluster.cluster_identifier]
            # The cluster may be gone before its snapshot can be restored: the register must wait for that.
            self._timeline.later(2 * DELETING_S, lambda: _move(snapshot, "creating", "available"))
        self._wind_up(cluster)

    def _wind_up(self, cluster: Cluster) -> None:
        cluster.status = "deleting"
        self._bill.end(cluster.cluster_identifier)
        self._timeline.later(DELETING_S, lambda: self._forget(cluster.cluster_identifier))

    def _forget(self, name: str) -> None:
        del self.backend.clusters[name]
        del self.contents[name]


def _run_ids(content: bytes) -> set[str]:
    (rows,) = read_tables(content, ["mayfly_load_ledger"]).values()
    return {run_id for _, run_id, *_ in rows}


def _move(thing: Any, before: str, after: str) -> None:
    if thing.status == before:
        thing.status = after


def _endpoint(cluster: Cluster) -> dict[str, Any] | None:
    if cluster.status != "available":
        return None
    return {"Address": f"{cluster.cluster_identifier}.world.test", "Port": cluster.port}


def _refusal(code: str, message: str) -> RedshiftClientError:
    return RedshiftClientError(code, message)
