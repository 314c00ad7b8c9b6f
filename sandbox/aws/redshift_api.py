"""Redshift's calls, where moto's differ from AWS's: patched into moto's classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.redshift.exceptions import (
    ClusterNotFoundError,
    ClusterSnapshotAlreadyExistsError,
    ClusterSnapshotNotFoundError,
)
from moto.redshift.models import Cluster, RedshiftBackend, Snapshot
from moto.redshift.responses import RedshiftResponse

from sandbox.aws import redshift_subnets
from sandbox.aws.context import ACCOUNT
from sandbox.aws.credentials import Credentials
from sandbox.aws.redshift_checks import (
    check_cluster,
    check_master,
    check_network_and_roles,
    check_roles,
    invalid,
)
from sandbox.aws.redshift_life import WarehouseLives

if TYPE_CHECKING:  # tests/world needs neither processes nor files
    from sandbox.aws.redshift import Warehouses
    from sandbox.aws.snapshots import SnapshotStore

# What moto's cluster wants to be told, and a restore may leave out.
_RESTORE_DEFAULTS = {
    "allow_version_upgrade": True,
    "automated_snapshot_retention_period": None,
    "cluster_parameter_group_name": None,
    "cluster_subnet_group_name": None,
    "preferred_maintenance_window": None,
    "publicly_accessible": False,
}

# What can be deleted: at rest, or broken.
_DELETABLE = ("available", "paused", "hardware-failure", "incompatible-restore", "storage-full")


def install(warehouses: Warehouses, credentials: Credentials) -> None:
    """Patch moto: clusters live by `warehouses`, temporary passwords are remembered in `credentials`."""
    install_states(warehouses)
    _install_answers(warehouses)
    _install_tags(warehouses.snapshots)
    _install_credentials(credentials)


def install_states(lives: WarehouseLives) -> None:
    """Patch moto's records alone, without the forms of requests and answers: tests/world uses no more."""
    _install_endpoint(lives)
    _install_create(lives)
    _install_delete(lives)
    _install_pause(lives)
    _install_modify(lives)
    _install_snapshots(lives)
    redshift_subnets.install()


def _install_endpoint(lives: WarehouseLives) -> None:
    def endpoint(self: Cluster) -> dict[str, Any] | None:
        host = lives.host_of(self)
        return {"Address": host, "Port": self.port} if host else None

    Cluster.endpoint = property(endpoint)


def require_state(cluster: Cluster, *states: str) -> None:
    """Raise InvalidClusterState unless the cluster is in one of `states`."""
    if cluster.status not in states:
        raise invalid(
            "InvalidClusterState",
            f"There is an operation running on the Cluster {cluster.cluster_identifier} "
            f"(it is {cluster.status}). Please try again at a later time.",
        )


def _cluster(backend: RedshiftBackend, cluster_id: str) -> Cluster:
    return backend.describe_clusters(cluster_id)[0]


def _install_create(lives: WarehouseLives) -> None:
    """moto restores a snapshot by creating a cluster, which has to know then what it is restored from."""
    moto_create, moto_restore = RedshiftBackend.create_cluster, RedshiftBackend.restore_from_cluster_snapshot
    restored: list[Snapshot] = []

    def create_cluster(self: RedshiftBackend, **request: Any) -> Cluster:
        check_cluster(request, self.region_name)
        with lives.lock:
            cluster = moto_create(self, **request)
            # AWS takes its first automated snapshot hours later; moto's holds no data.
            self.delete_automated_snapshots(cluster.cluster_identifier)
            lives.begin(cluster, restored[-1] if restored else None)
        return cluster

    def restore(self: RedshiftBackend, **request: Any) -> Cluster:
        check_network_and_roles(request, self.region_name)
        with lives.lock:
            snapshot = self.describe_cluster_snapshots(snapshot_identifier=request["snapshot_identifier"])[0]
            if snapshot.status != "available":
                raise invalid(
                    "InvalidClusterSnapshotState",
                    f"Snapshot {snapshot.snapshot_identifier} is {snapshot.status}, not available.",
                )
            given = {key: value for key, value in request.items() if value is not None}
            nodes = given.get("number_of_nodes", snapshot.number_of_nodes)
            given["cluster_type"] = "multi-node" if nodes > 1 else "single-node"
            restored.append(snapshot)
            try:
                return moto_restore(self, **{**_RESTORE_DEFAULTS, **given})
            finally:
                restored.pop()

    RedshiftBackend.create_cluster = create_cluster
    RedshiftBackend.restore_from_cluster_snapshot = restore


def _install_delete(lives: WarehouseLives) -> None:
    def delete_cluster(
        self: RedshiftBackend,
        cluster_identifier: str,
        skip_final_snapshot: bool,
        final_cluster_snapshot_identifier: str | None,
    ) -> Cluster:
        with lives.lock:
            cluster = _cluster(self, cluster_identifier)
            if skip_final_snapshot and final_cluster_snapshot_identifier:
                raise invalid(
                    "InvalidParameterCombination",
                    "FinalClusterSnapshotIdentifier cannot be given with SkipFinalClusterSnapshot.",
                )
            if not skip_final_snapshot and not final_cluster_snapshot_identifier:
                raise invalid(
                    "InvalidParameterCombination",
                    "FinalClusterSnapshotIdentifier is required unless SkipFinalClusterSnapshot is specified.",
                )
            require_state(cluster, *_DELETABLE)
            final = None
            if final_cluster_snapshot_identifier:
                tags = lives.final_tags(cluster)
                final = _record_snapshot(lives, self, cluster, final_cluster_snapshot_identifier, tags)
            lives.delete(self, cluster, final)
        return cluster

    RedshiftBackend.delete_cluster = delete_cluster


def _install_pause(lives: WarehouseLives) -> None:
    def change(before: str, during: str, work: Callable[[Cluster], None]) -> Any:
        def call(self: RedshiftBackend, cluster_id: str) -> Cluster:
            with lives.lock:
                cluster = _cluster(self, cluster_id)
                require_state(cluster, before)
                cluster.status = during
                work(cluster)
            return cluster

        return call

    RedshiftBackend.pause_cluster = change("available", "pausing", lives.pause)
    RedshiftBackend.resume_cluster = change("paused", "resuming", lives.resume)


def _install_modify(lives: WarehouseLives) -> None:
    moto_modify = RedshiftBackend.modify_cluster

    def modify_cluster(self: RedshiftBackend, **request: Any) -> Cluster:
        with lives.lock:
            require_state(_cluster(self, request["cluster_identifier"]), "available")
            if request.get("new_cluster_identifier"):
                raise NotImplementedError("Renaming a cluster is not available in the sandbox.")
            check_network_and_roles(request, self.region_name)
            return moto_modify(self, **request)

    RedshiftBackend.modify_cluster = modify_cluster


def _record_snapshot(
    lives: WarehouseLives,
    backend: RedshiftBackend,
    cluster: Cluster,
    snapshot_id: str,
    tags: list[dict[str, str]],
) -> Snapshot:
    if snapshot_id in backend.snapshots:
        raise ClusterSnapshotAlreadyExistsError(snapshot_id)
    snapshot = Snapshot(cluster, snapshot_id, backend.account_id, backend.region_name, tags)
    snapshot.status, snapshot.create_time = "creating", lives.now()
    backend.snapshots[snapshot_id] = snapshot
    return snapshot


def _install_snapshots(lives: WarehouseLives) -> None:
    moto_create = RedshiftBackend.create_cluster_snapshot

    def create(  # noqa: PLR0917  moto's own signature
        self: RedshiftBackend,
        cluster_identifier: str,
        snapshot_identifier: str,
        region_name: str,
        tags: list[dict[str, str]] | None,
        snapshot_type: str = "manual",
    ) -> Snapshot:
        if snapshot_type == "automated":
            return moto_create(
                self, cluster_identifier, snapshot_identifier, region_name, tags, snapshot_type
            )
        with lives.lock:
            cluster = _cluster(self, cluster_identifier)
            require_state(cluster, "available")
            snapshot = _record_snapshot(lives, self, cluster, snapshot_identifier, list(tags or cluster.tags))
            lives.snapshot(cluster, snapshot)
        return snapshot

    def delete(self: RedshiftBackend, snapshot_identifier: str) -> Snapshot:
        with lives.lock:
            if snapshot_identifier not in self.snapshots:
                raise ClusterSnapshotNotFoundError(snapshot_identifier)
            snapshot = self.snapshots[snapshot_identifier]
            if snapshot.status == "creating" or getattr(snapshot, "restores", 0):
                raise invalid(
                    "InvalidClusterSnapshotState",
                    f"Snapshot {snapshot_identifier} is in use; try again later.",
                )
            del self.snapshots[snapshot_identifier]
            snapshot.status = "deleted"
            lives.drop(snapshot)
        return snapshot

    RedshiftBackend.create_cluster_snapshot = create
    RedshiftBackend.delete_cluster_snapshot = delete
    RedshiftBackend.describe_cluster_snapshots = _describe_snapshots


def _install_answers(lives: WarehouseLives) -> None:
    """Patch moto where it reads requests and writes answers."""
    moto_create, moto_restore = (
        RedshiftResponse.create_cluster,
        RedshiftResponse.restore_from_cluster_snapshot,
    )

    def create_cluster(self: RedshiftResponse) -> ActionResult:
        managed = self._get_bool_param("ManageMasterPassword", False)
        check_master(
            self._get_param("MasterUsername"), self._get_param("MasterUserPassword"), managed=managed
        )
        result = moto_create(self)
        # Encrypted unless told otherwise, since January 2025:
        # https://docs.aws.amazon.com/redshift/latest/mgmt/working-with-db-encryption.html
        result.result["Cluster"].encrypted = self._get_bool_param("Encrypted", True)
        return result

    def restore(self: RedshiftResponse) -> ActionResult:
        name, cluster = self._get_param("SnapshotIdentifier"), self._get_param("SnapshotClusterIdentifier")
        # Required of whoever may not restore every cluster's snapshots, and docs/iam-principal-policy.json
        # allows those of `mayfly-*` alone:
        # https://docs.aws.amazon.com/redshift/latest/APIReference/API_RestoreFromClusterSnapshot.html
        if cluster is None:
            raise invalid(
                "AccessDenied",
                "User is not authorized to perform: redshift:RestoreFromClusterSnapshot on resource: "
                f"arn:aws:redshift:{self.region}:{ACCOUNT}:snapshot:*/{name}",
            )
        _describe_snapshots(self.redshift_backend, cluster_identifier=cluster, snapshot_identifier=name)
        return moto_restore(self)

    def modify_iam_roles(self: RedshiftResponse) -> ActionResult:
        with lives.lock:
            cluster = _cluster(self.redshift_backend, self._get_param("ClusterIdentifier"))
            require_state(cluster, "available")
            added, removed = self._get_param("AddIamRoles", []), self._get_param("RemoveIamRoles", [])
            check_roles(added)
            kept = [arn for arn in cluster.iam_roles_arn if arn not in (*removed, *added)]
            cluster.iam_roles_arn = [*kept, *added]
        return ActionResult({"Cluster": cluster})

    RedshiftResponse.create_cluster = create_cluster
    RedshiftResponse.restore_from_cluster_snapshot = restore
    RedshiftResponse.modify_cluster_iam_roles = modify_iam_roles
    _filter_by_tags(RedshiftResponse, "describe_cluster_snapshots", "Snapshots")
    _filter_by_tags(RedshiftResponse, "describe_clusters", "Clusters")


def _install_tags(snapshots: SnapshotStore) -> None:
    """A snapshot's tags outlive this process, so a change of them is written to its record."""
    for name in ("create_tags", "delete_tags"):
        setattr(RedshiftBackend, name, _writing_tags(getattr(RedshiftBackend, name), snapshots))


def _writing_tags(moto_change: Any, snapshots: SnapshotStore) -> Any:
    def change(self: RedshiftBackend, resource_name: str, tags: list[Any]) -> None:
        moto_change(self, resource_name, tags)
        resource = self._get_resource_from_arn(resource_name)
        if isinstance(resource, Snapshot) and resource.status == "available":
            snapshots.write_record(resource)

    return change


def _describe_snapshots(
    self: RedshiftBackend,
    cluster_identifier: str | None = None,
    snapshot_identifier: str | None = None,
    snapshot_type: str | None = None,
) -> list[Snapshot]:
    """moto answers all snapshots where a cluster has none, and forgets the type."""
    found = [
        snapshot
        for snapshot in list(self.snapshots.values())
        if cluster_identifier in (None, snapshot.cluster_identifier)
        and snapshot_identifier in (None, snapshot.snapshot_identifier)
        and snapshot_type in (None, snapshot.snapshot_type)
    ]
    if snapshot_identifier and not found:
        raise ClusterSnapshotNotFoundError(snapshot_identifier)
    return found


def _filter_by_tags(response: type, method: str, key: str) -> None:
    """TagKeys and TagValues, which moto leaves out; either that matches is enough, as on AWS."""
    moto_describe = getattr(response, method)

    def describe(self: RedshiftResponse) -> ActionResult:
        result = moto_describe(self)
        keys, values = self._get_param("TagKeys") or [], self._get_param("TagValues") or []
        if not keys and not values:
            return result
        chosen = [item for item in result.result[key] if _is_tagged(item.tags, keys, values)]
        return ActionResult({key: chosen})

    setattr(response, method, describe)


def _is_tagged(tags: list[dict[str, str]], keys: list[str], values: list[str]) -> bool:
    return any((not keys or tag["Key"] in keys) and (not values or tag["Value"] in values) for tag in tags)


def _install_credentials(credentials: Credentials) -> None:
    moto_get = RedshiftBackend.get_cluster_credentials

    def get_cluster_credentials(
        self: RedshiftBackend, cluster_identifier: str, db_user: str, auto_create: bool, duration_seconds: int
    ) -> dict[str, Any]:
        if cluster_identifier not in self.clusters:
            raise ClusterNotFoundError(cluster_identifier)
        answer = moto_get(self, cluster_identifier, db_user, auto_create, duration_seconds)
        credentials.remember(cluster_identifier, answer["DbUser"], answer["DbPassword"], answer["Expiration"])
        return answer

    RedshiftBackend.get_cluster_credentials = get_cluster_credentials
