"""A Redshift cluster: create it or restore it, probe it, delete it with a final snapshot.

Creating is idempotent by name. The admin's password is random and forgotten: each connection asks for
temporary credentials. The subnet group is in `subnet_groups`, snapshots in `snapshots`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_lib.aws.causes import Cause, cause_of
from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of, message_of, translate_aws_errors
from airflow_lib.errors import ForeignResource, NotReady, SnapshotAbsent
from airflow_lib.naming import TAG_ENVIRONMENT, Environment, Names, Slot, is_ours, slot_of
from airflow_lib.resources.iam_roles import are_young, probe_role
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.owned import (
    Owned,
    as_tag_list,
    as_tags,
    check_known,
    foreign,
    same_generation,
)
from airflow_lib.resources.security_groups import WAREHOUSE_PORT, find_groups
from airflow_lib.resources.snapshots import SNAPSHOT, SnapshotView, probe_snapshot
from airflow_lib.resources.subnet_groups import probe_subnet_group

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

CLUSTER = "Redshift cluster"
ADMIN_USER = "mayfly_admin"

_EXISTS = frozenset({"ClusterAlreadyExists"})
_ABSENT = frozenset({"ClusterNotFound"})
_SNAPSHOT_ABSENT = frozenset({"ClusterSnapshotNotFound", "ClusterSnapshotNotFoundFault"})


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
class Attachments:
    """What a warehouse is attached to: the id of its security group, the ARN of its role for COPY."""

    security_group_id: str
    copy_role_arn: str


@dataclass(frozen=True)
class WarehouseView:
    """A cluster as Redshift describes it; without an endpoint until it is available.

    `state` is a WarehouseState's, or what this version does not know: that is neither ready nor failed.
    """

    name: str
    state: str
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

    def find_role(self, name: str) -> str | None:
        """The ARN of the role of that name, or None where the cluster does not have it."""
        return next((arn for arn in self.roles if arn.endswith(f"/{name}")), None)

    @property
    def failed(self) -> bool:
        """Whether it will not become available."""
        return self.state in FAILED

    def check_known(self) -> None:
        """Raise UnknownState where one who waits for it would wait for what this version does not know."""
        check_known(f"{CLUSTER} {self.name}", self.state, WarehouseState, "Redshift")


def ensure_cluster(aws: Aws, spec: GenerationSpec, now: datetime) -> WarehouseView:
    """Create the warehouse, empty or from the spec's snapshot, or adopt our own of that name.

    Returns at once; poll `probe_cluster`. `now` is S3's time, by which the role's age is told.
    Raises ForeignResource where the name is taken; NotReady where Redshift does not see the role or the subnet group
    yet, and they are young; SnapshotAbsent; ResourceError where AWS refuses.
    """
    name, environment, redshift = spec.names.cluster, spec.names.environment, aws.redshift
    attached = _find_attachments(aws, spec)
    snapshot = None if spec.restore_from is None else _find_snapshot(redshift, spec.names, spec.restore_from)
    try:
        if snapshot is None:
            redshift.create_cluster(**render_create(spec, attached, admin_password=make_password()))
        else:
            redshift.restore_from_cluster_snapshot(**render_restore(spec, attached, snapshot))
    except ClientError as error:
        if code_of(error) in _SNAPSHOT_ABSENT and spec.restore_from is not None:
            raise _absent(name, spec.restore_from) from error
        if code_of(error) not in _EXISTS:
            _raise_refusal(aws, spec.names, now, error)
    view = probe_cluster(redshift, name)
    if view is None:
        raise NotReady(f"{CLUSTER} {name} was asked for, but Redshift does not find it yet")
    if not _owns(redshift, environment, view):
        raise foreign(CLUSTER, name, environment)
    _ensure_tags(redshift, spec, view, attached)
    return view


def _find_attachments(aws: Aws, spec: GenerationSpec) -> Attachments:
    names = spec.names
    role = probe_role(aws.iam, names.environment, names.copy_role)
    if role is None:
        raise NotReady(f"IAM does not find role {names.copy_role} yet")
    groups = find_groups(aws.ec2, names, spec.subnet)
    return Attachments(security_group_id=groups[names.security_group], copy_role_arn=role.id)


def render_create(spec: GenerationSpec, attached: Attachments, *, admin_password: str) -> dict[str, Any]:
    """The CreateCluster request."""
    nodes = spec.hardware.warehouse_nodes
    return {
        **_common(spec, attached),
        "DBName": spec.settings.warehouse.database,
        "ClusterType": "single-node" if nodes == 1 else "multi-node",
        **({} if nodes == 1 else {"NumberOfNodes": nodes}),
        "MasterUsername": ADMIN_USER,
        "MasterUserPassword": admin_password,
        "Encrypted": True,
        "Tags": as_tag_list(spec.tags),
    }


def render_restore(spec: GenerationSpec, attached: Attachments, snapshot: SnapshotView) -> dict[str, Any]:
    """The RestoreFromClusterSnapshot request: roles and groups are not part of a snapshot.

    It names the snapshot's cluster because our policy does (`snapshot:mayfly-*/mayfly-*`): without it AWS
    refuses whoever may not restore the snapshots of every cluster.
    https://docs.aws.amazon.com/redshift/latest/APIReference/API_RestoreFromClusterSnapshot.html
    """
    return {
        **_common(spec, attached),
        "SnapshotIdentifier": snapshot.name,
        "SnapshotClusterIdentifier": snapshot.cluster,
        "NumberOfNodes": spec.hardware.warehouse_nodes,
        "Encrypted": True,
    }


def _find_snapshot(redshift: RedshiftClient, names: Names, name: str) -> SnapshotView:
    """The snapshot that the register names. Raises ResourceError where it is gone, ForeignResource where not ours."""
    snapshot = probe_snapshot(redshift, name)
    if snapshot is None:
        raise _absent(names.cluster, name)
    environment = names.environment
    if slot_of(environment, name) is not Slot.WAREHOUSE or not is_ours(environment, name, snapshot.tags):
        raise ForeignResource(
            f"Could not restore {CLUSTER} {names.cluster}: the register names {SNAPSHOT} {name}, which is not ours (a "
            f"name such as {names.final_snapshot} and the tag {TAG_ENVIRONMENT}={environment.name} were expected), so "
            "others' rows would be loaded. Restore the register's last good version."
        )
    snapshot.check_known()
    return snapshot


def _absent(cluster: str, snapshot: str) -> SnapshotAbsent:
    return SnapshotAbsent(
        f"Could not restore {CLUSTER} {cluster}: there is no {SNAPSHOT} {snapshot}. "
        "Look in the Redshift console, and in CloudTrail, for who deleted it."
    )


def _common(spec: GenerationSpec, attached: Attachments) -> dict[str, Any]:
    return {
        "ClusterIdentifier": spec.names.cluster,
        "NodeType": spec.hardware.warehouse_node_type,
        "Port": WAREHOUSE_PORT,
        "PubliclyAccessible": False,
        "ClusterSubnetGroupName": spec.names.cluster,
        "VpcSecurityGroupIds": [attached.security_group_id],
        "IamRoles": [attached.copy_role_arn],
        "AutomatedSnapshotRetentionPeriod": 1,
    }


def make_password() -> str:
    """A password that Redshift takes: 8 to 64 characters, upper case, lower case and a digit."""
    alphabet = string.ascii_letters + string.digits
    return "Aa1" + "".join(secrets.choice(alphabet) for _ in range(40))


def probe_cluster(redshift: RedshiftClient, name: str) -> WarehouseView | None:
    """The cluster as it is, or None where there is none of that name."""
    with translate_aws_errors(f"describe {CLUSTER} {name}", ignore=_ABSENT):
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
        raise foreign(CLUSTER, name, environment)
    if view.state in _IN_TRANSITION:
        raise NotReady(f"{CLUSTER} {name} is {view.state}: it can be deleted when that is over")
    if view.state == WarehouseState.PAUSED and final_snapshot is not None:
        with translate_aws_errors(f"resume {CLUSTER} {name}", ignore=_ABSENT, retry={"InvalidClusterState"}):
            redshift.resume_cluster(ClusterIdentifier=name)
        raise NotReady(f"{CLUSTER} {name} was paused: it is resumed, so that its final snapshot can be taken")
    snapshot: dict[str, Any] = (
        {"SkipFinalClusterSnapshot": True}
        if final_snapshot is None
        else {"SkipFinalClusterSnapshot": False, "FinalClusterSnapshotIdentifier": final_snapshot}
    )
    with translate_aws_errors(f"delete {CLUSTER} {name}", ignore=_ABSENT, retry={"InvalidClusterState"}):
        redshift.delete_cluster(ClusterIdentifier=name, **snapshot)


def delete_clusters(aws: Aws, names: Names, *, keep_data: bool) -> None:
    """See `kind.Delete`."""
    if names.slot is not Slot.WAREHOUSE:
        return
    view = probe_cluster(aws.redshift, names.cluster)
    if view is None:
        return
    snapshot = names.final_snapshot if keep_data else None
    delete_cluster(aws.redshift, names.environment, names.cluster, final_snapshot=snapshot)
    raise NotReady(f"asked to delete: {CLUSTER} {view.name} was {view.state}")


def list_owned_clusters(redshift: RedshiftClient, environment: Environment) -> list[Owned]:
    """Every warehouse of the environment, of whatever generation and state."""
    with translate_aws_errors("list Redshift clusters"):
        pages = redshift.get_paginator("describe_clusters").paginate()
        named = [
            cluster
            for page in pages
            for cluster in page["Clusters"]
            if cluster.get("ClusterIdentifier", "").startswith(environment.prefix)
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
    where its creator died; its subnet group was ours, by name and tag, before it was created.
    """
    if is_ours(environment, view.name, view.tags):
        return True
    if TAG_ENVIRONMENT in view.tags or view.subnet_group != view.name:
        return False
    return probe_subnet_group(redshift, environment, view.subnet_group) is not None


def _ensure_tags(
    redshift: RedshiftClient, spec: GenerationSpec, view: WarehouseView, attached: Attachments
) -> None:
    """Give a restored cluster this generation's tags: it has the snapshot's, or none.

    A cluster that has them keeps them, for its expiry is never renewed.
    """
    if same_generation(view.tags, spec.tags):
        return
    with translate_aws_errors(f"tag {CLUSTER} {view.name}", retry={"InvalidClusterState"}):
        redshift.create_tags(ResourceName=_arn(redshift, spec, attached), Tags=as_tag_list(spec.tags))


def _arn(redshift: RedshiftClient, spec: GenerationSpec, attached: Attachments) -> str:
    """Redshift does not describe a cluster's ARN: the account is in its role's, the rest in its client."""
    account = attached.copy_role_arn.split(":")[4]
    meta = redshift.meta
    return f"arn:{meta.partition}:redshift:{meta.region_name}:{account}:cluster:{spec.names.cluster}"


def _raise_refusal(aws: Aws, names: Names, now: datetime, error: ClientError) -> None:
    """Raise what a refusal to create the warehouse means."""
    code, message = code_of(error), message_of(error)
    if cause_of(code, message) is Cause.LAG and are_young(aws, names, now):
        raise NotReady(
            f"Could not create {CLUSTER} {names.cluster} yet, its role and groups are too young: {code}: {message}"
        ) from error
    with translate_aws_errors(f"create {CLUSTER} {names.cluster}"):
        raise error


def _view(cluster: Mapping[str, Any]) -> WarehouseView:
    endpoint = cluster.get("Endpoint") or {}
    return WarehouseView(
        name=cluster["ClusterIdentifier"],
        state=cluster.get("ClusterStatus", ""),
        host=endpoint.get("Address") or None,
        port=endpoint.get("Port"),
        database=cluster.get("DBName", ""),
        admin_user=cluster.get("MasterUsername", ""),
        roles={
            role["IamRoleArn"]: role.get("ApplyStatus", "")
            for role in cluster.get("IamRoles", [])
            if "IamRoleArn" in role
        },
        subnet_group=cluster.get("ClusterSubnetGroupName", ""),
        tags=as_tags(cluster.get("Tags")),
    )


KIND = Kind(
    title=CLUSTER,
    names=lambda names: (names.cluster,) if names.slot is Slot.WAREHOUSE else (),
    list_owned=lambda aws, environment: list_owned_clusters(aws.redshift, environment),
    delete=delete_clusters,
    uses_the_rest=True,
)
