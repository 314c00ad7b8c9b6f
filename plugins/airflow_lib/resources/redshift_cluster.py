"""A Redshift cluster: create it or restore it, probe it, delete it with a final snapshot.

Creating is idempotent by name. The admin's password is random and forgotten: each connection asks for
temporary credentials. The subnet group is in `subnet_group`, snapshots in `snapshots`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_lib.errors import ForeignResource, ResourceError, UnknownState
from airflow_lib.naming import TAG_ENVIRONMENT, Environment, Names, is_ours
from airflow_lib.resources.common import (
    NotReady,
    Owned,
    as_tag_list,
    as_tags,
    asking,
    code_of,
    foreign,
    message_of,
    same_birth,
)
from airflow_lib.resources.snapshots import SNAPSHOT, SnapshotView, probe_snapshot
from airflow_lib.resources.subnet_group import probe_subnet_group

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

CLUSTER = "Redshift cluster"
ADMIN_USER = "mayfly_admin"
PORT = 5439

_EXISTS = frozenset({"ClusterAlreadyExists"})
_ABSENT = frozenset({"ClusterNotFound"})
_CAPACITY = frozenset({"InsufficientClusterCapacity"})
# Our subnet group was made a moment ago.
_LAGGING = frozenset({"ClusterSubnetGroupNotFoundFault"})


class WarehouseState(StrEnum):
    """`ClusterStatus` in https://docs.aws.amazon.com/redshift/latest/APIReference/API_Cluster.html

    and, of states the page omits, `pausing` and `resuming`:
    https://docs.aws.amazon.com/redshift/latest/mgmt/rs-mgmt-cluster-status.html
    """

    AVAILABLE = "available"
    AVAILABLE_PREP_FOR_RESIZE = "available, prep-for-resize"
    AVAILABLE_RESIZE_CLEANUP = "available, resize-cleanup"
    CANCELLING_RESIZE = "cancelling-resize"
    CREATING = "creating"
    DELETING = "deleting"
    FINAL_SNAPSHOT = "final-snapshot"
    HARDWARE_FAILURE = "hardware-failure"
    INCOMPATIBLE_HSM = "incompatible-hsm"
    INCOMPATIBLE_NETWORK = "incompatible-network"
    INCOMPATIBLE_PARAMETERS = "incompatible-parameters"
    INCOMPATIBLE_RESTORE = "incompatible-restore"
    MODIFYING = "modifying"
    PAUSED = "paused"
    PAUSING = "pausing"
    REBOOTING = "rebooting"
    RENAMING = "renaming"
    RESIZING = "resizing"
    RESTORING = "restoring"
    RESUMING = "resuming"
    ROTATING_KEYS = "rotating-keys"
    STORAGE_FULL = "storage-full"
    UPDATING_HSM = "updating-hsm"


_S = WarehouseState
READY = frozenset({_S.AVAILABLE, _S.AVAILABLE_PREP_FOR_RESIZE, _S.AVAILABLE_RESIZE_CLEANUP})
ENDING = frozenset({_S.FINAL_SNAPSHOT, _S.DELETING})
FAILED = ENDING | {
    _S.HARDWARE_FAILURE,
    _S.INCOMPATIBLE_HSM,
    _S.INCOMPATIBLE_NETWORK,
    _S.INCOMPATIBLE_PARAMETERS,
    _S.INCOMPATIBLE_RESTORE,
    _S.STORAGE_FULL,
    _S.PAUSED,
    _S.PAUSING,
}
PENDING = frozenset(WarehouseState) - READY - FAILED
# What DeleteCluster refuses with InvalidClusterState: wait, then ask.
_IN_TRANSITION = PENDING | {_S.PAUSING}


@dataclass(frozen=True)
class WarehouseSpec:
    """One warehouse, whole."""

    names: Names
    tags: Mapping[str, str]
    node_type: str
    nodes: int
    database: str
    subnet_group: str
    security_group_id: str
    copy_role_arn: str


@dataclass(frozen=True)
class WarehouseView:
    """A cluster as Redshift describes it; without an endpoint until it is available."""

    name: str
    state: WarehouseState
    host: str | None
    port: int | None
    database: str
    admin_user: str
    roles: Mapping[str, str]
    subnet_group: str
    tags: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether it takes connections, and COPY can use its role."""
        in_sync = all(status == "in-sync" for status in self.roles.values())
        return self.state in READY and self.host is not None and in_sync

    @property
    def failed(self) -> bool:
        """Whether one who waits for it to become available waits in vain."""
        return self.state in FAILED


def ensure_cluster(
    redshift: RedshiftClient, spec: WarehouseSpec, restore_from: str | None = None
) -> WarehouseView:
    """Create the warehouse, empty or from the snapshot `restore_from`, or adopt our own of that name.

    Returns at once; poll `probe_cluster`. Raises ForeignResource where the name is taken; NotReady where the role
    or the subnet group is not visible to Redshift yet; ResourceError where the snapshot is gone or AWS refuses,
    and says so if it has no capacity.
    """
    name, environment = spec.names.cluster, spec.names.environment
    snapshot = None if restore_from is None else _find_snapshot(redshift, name, restore_from)
    try:
        if snapshot is None:
            redshift.create_cluster(**render_create(spec, admin_password=make_password()))
        else:
            redshift.restore_from_cluster_snapshot(**render_restore(spec, snapshot))
    except ClientError as error:
        if code_of(error) not in _EXISTS:
            _raise_refusal(name, error)
    view = probe_cluster(redshift, name)
    if view is None:
        raise NotReady(f"{CLUSTER} {name} was asked for, but Redshift does not find it yet")
    if not _owns(redshift, environment, view):
        raise ForeignResource(foreign(CLUSTER, name, environment))
    _ensure_tags(redshift, spec, view)
    return view


def render_create(spec: WarehouseSpec, *, admin_password: str) -> dict[str, Any]:
    """The CreateCluster request."""
    return {
        **_common(spec),
        "DBName": spec.database,
        "ClusterType": "single-node" if spec.nodes == 1 else "multi-node",
        **({} if spec.nodes == 1 else {"NumberOfNodes": spec.nodes}),
        "MasterUsername": ADMIN_USER,
        "MasterUserPassword": admin_password,
        "Encrypted": True,
        "Tags": as_tag_list(spec.tags),
    }


def render_restore(spec: WarehouseSpec, snapshot: SnapshotView) -> dict[str, Any]:
    """The RestoreFromClusterSnapshot request: roles and groups are not part of a snapshot.

    It names the snapshot's cluster because our policy does (`snapshot:mayfly-*/mayfly-*`): without it AWS
    refuses whoever may not restore the snapshots of every cluster.
    https://docs.aws.amazon.com/redshift/latest/APIReference/API_RestoreFromClusterSnapshot.html
    """
    return {
        **_common(spec),
        "SnapshotIdentifier": snapshot.name,
        "SnapshotClusterIdentifier": snapshot.cluster,
        "NumberOfNodes": spec.nodes,
        "Encrypted": True,
    }


def _find_snapshot(redshift: RedshiftClient, cluster: str, name: str) -> SnapshotView:
    snapshot = probe_snapshot(redshift, name)
    if snapshot is None:
        raise ResourceError(
            f"Could not restore {CLUSTER} {cluster}: there is no {SNAPSHOT} {name}. "
            "Look in the Redshift console, and in CloudTrail, for who deleted it."
        )
    return snapshot


def _common(spec: WarehouseSpec) -> dict[str, Any]:
    return {
        "ClusterIdentifier": spec.names.cluster,
        "NodeType": spec.node_type,
        "Port": PORT,
        "PubliclyAccessible": False,
        "ClusterSubnetGroupName": spec.subnet_group,
        "VpcSecurityGroupIds": [spec.security_group_id],
        "IamRoles": [spec.copy_role_arn],
        "AutomatedSnapshotRetentionPeriod": 1,
    }


def make_password() -> str:
    """A password that Redshift takes: 8 to 64 characters, upper case, lower case and a digit."""
    alphabet = string.ascii_letters + string.digits
    return "Aa1" + "".join(secrets.choice(alphabet) for _ in range(40))


def probe_cluster(redshift: RedshiftClient, name: str) -> WarehouseView | None:
    """The cluster as it is, or None where there is none of that name.

    Raises UnknownState for a state that this release does not know.
    """
    with asking(f"describe {CLUSTER} {name}", ignoring=_ABSENT):
        clusters = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"]
        return _view(clusters[0]) if clusters else None
    return None


def delete_cluster(
    redshift: RedshiftClient, environment: Environment, name: str, *, final_snapshot: str | None
) -> None:
    """Ask Redshift to delete our cluster, first taking `final_snapshot` where it is given.

    Absent, or being deleted, is success; poll `probe_cluster` until it is gone. A paused cluster is resumed,
    since a final snapshot cannot be taken of it. Raises NotReady in every transition; ForeignResource where it
    is not ours; ResourceError where the snapshot's name is taken.
    """
    view = probe_cluster(redshift, name)
    if view is None or view.state in ENDING:
        return
    if not _owns(redshift, environment, view):
        raise ForeignResource(foreign(CLUSTER, name, environment))
    if view.state in _IN_TRANSITION:
        raise NotReady(f"{CLUSTER} {name} is {view.state}: it can be deleted when that is over")
    if view.state is WarehouseState.PAUSED and final_snapshot is not None:
        with asking(f"resume {CLUSTER} {name}", ignoring=_ABSENT, again={"InvalidClusterState"}):
            redshift.resume_cluster(ClusterIdentifier=name)
        raise NotReady(f"{CLUSTER} {name} was paused: it is resumed, so that its final snapshot can be taken")
    snapshot: dict[str, Any] = (
        {"SkipFinalClusterSnapshot": True}
        if final_snapshot is None
        else {"SkipFinalClusterSnapshot": False, "FinalClusterSnapshotIdentifier": final_snapshot}
    )
    with asking(f"delete {CLUSTER} {name}", ignoring=_ABSENT, again={"InvalidClusterState"}):
        redshift.delete_cluster(ClusterIdentifier=name, **snapshot)


def list_owned_clusters(redshift: RedshiftClient, environment: Environment) -> list[Owned]:
    """Every warehouse of the environment, of whatever generation and state."""
    with asking("list Redshift clusters"):
        pages = redshift.get_paginator("describe_clusters").paginate()
        named = [
            cluster
            for page in pages
            for cluster in page["Clusters"]
            if cluster["ClusterIdentifier"].startswith(environment.prefix)
        ]
    views = [_view(cluster) for cluster in named]
    return [
        Owned(CLUSTER, view.name, view.name, view.tags, view.state)
        for view in views
        if _owns(redshift, environment, view)
    ]


def _owns(redshift: RedshiftClient, environment: Environment, view: WarehouseView) -> bool:
    """Whether a cluster is ours: by name and tag, or by name and by sitting in our own tagged subnet group.

    RestoreFromClusterSnapshot takes no tags, so a restored cluster may be untagged for a moment, or for good
    where its maker died; its subnet group was ours, by name and tag, before it was born.
    """
    if is_ours(environment, view.name, view.tags):
        return True
    if TAG_ENVIRONMENT in view.tags or view.subnet_group != view.name:
        return False
    return probe_subnet_group(redshift, environment, view.subnet_group) is not None


def _ensure_tags(redshift: RedshiftClient, spec: WarehouseSpec, view: WarehouseView) -> None:
    """Give a restored cluster this generation's tags: it has the snapshot's, or none.

    A cluster that has them keeps them, for its expiry is never renewed.
    """
    if same_birth(view.tags, spec.tags):
        return
    with asking(f"tag {CLUSTER} {view.name}", again={"InvalidClusterState"}):
        redshift.create_tags(ResourceName=_arn(redshift, spec), Tags=as_tag_list(spec.tags))


def _arn(redshift: RedshiftClient, spec: WarehouseSpec) -> str:
    """A cluster does not tell its own ARN; its role tells the account, its client the rest."""
    account = spec.copy_role_arn.split(":")[4]
    meta = redshift.meta
    return f"arn:{meta.partition}:redshift:{meta.region_name}:{account}:cluster:{spec.names.cluster}"


def _is_lag(error: ClientError) -> bool:
    """Whether Redshift does not see yet what was just made for it."""
    if code_of(error) in _LAGGING:
        return True
    of_roles = code_of(error) in {"InvalidParameterValue", "UnauthorizedOperation"}
    return of_roles and "role" in message_of(error).lower()


def _raise_refusal(name: str, error: ClientError) -> None:
    message = message_of(error)
    if _is_lag(error):
        raise NotReady(f"Could not create {CLUSTER} {name} yet: {code_of(error)}: {message}") from error
    if code_of(error) in _CAPACITY:
        raise ResourceError(
            f"Could not create {CLUSTER} {name}: AWS answered {code_of(error)}: {message}. Choose another node "
            "type or subnet in the Airflow Variable `mayfly`, or run again later."
        ) from error
    with asking(f"create {CLUSTER} {name}"):
        raise error


def _view(cluster: Mapping[str, Any]) -> WarehouseView:
    name, status = cluster["ClusterIdentifier"], cluster["ClusterStatus"]
    try:
        state = WarehouseState(status)
    except ValueError:
        raise UnknownState(
            f"{CLUSTER} {name} is {status!r}, a state that this release does not know. "
            "Look at it in the Redshift console, then update Mayfly."
        ) from None
    endpoint = cluster.get("Endpoint") or {}
    return WarehouseView(
        name=name,
        state=state,
        host=endpoint.get("Address") or None,
        port=endpoint.get("Port"),
        database=cluster.get("DBName", ""),
        admin_user=cluster.get("MasterUsername", ""),
        roles={role["IamRoleArn"]: role.get("ApplyStatus", "") for role in cluster.get("IamRoles", [])},
        subnet_group=cluster.get("ClusterSubnetGroupName", ""),
        tags=as_tags(cluster.get("Tags")),
    )
