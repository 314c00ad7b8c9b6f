"""Redshift's cluster subnet group: which subnet a warehouse is in. It has the warehouse's own name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.naming import Environment, Names, Slot, is_ours
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.owned import Owned, as_tag_list, as_tags, check_ours, foreign

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

SUBNET_GROUP = "Redshift subnet group"

_EXISTS = frozenset({"ClusterSubnetGroupAlreadyExists"})
_ABSENT = frozenset({"ClusterSubnetGroupNotFoundFault", "ClusterSubnetGroupNotFound"})
_IN_USE = frozenset({"InvalidClusterSubnetGroupStateFault", "InvalidClusterSubnetStateFault"})


def subnet_group_names(names: Names) -> tuple[str, ...]:
    """The subnet group of a warehouse's generation; EMR has none."""
    return (names.cluster,) if names.slot is Slot.WAREHOUSE else ()


def ensure_subnet_groups(aws: Aws, spec: GenerationSpec) -> None:
    """See `ensure_subnet_group`."""
    if subnet_group_names(spec.names):
        ensure_subnet_group(aws.redshift, spec.names, spec.tags, spec.subnet.subnet_id)


def ensure_subnet_group(
    redshift: RedshiftClient, names: Names, tags: Mapping[str, str], subnet_id: str
) -> str:
    """The name of the group that holds the subnet. Raises ForeignResource where the name is taken."""
    name = names.cluster
    with translate_aws_errors(f"create {SUBNET_GROUP} {name}", ignore=_EXISTS):
        redshift.create_cluster_subnet_group(
            ClusterSubnetGroupName=name,
            Description=f"Mayfly {names.environment.name}",
            SubnetIds=[subnet_id],
            Tags=as_tag_list(tags),
        )
        return name
    if probe_subnet_group(redshift, names.environment, name) is None:
        raise foreign(SUBNET_GROUP, name, names.environment)
    return name


def probe_subnet_group(redshift: RedshiftClient, environment: Environment, name: str) -> Owned | None:
    """Our group of that name, or None where it is absent or not ours."""
    group = _read(redshift, name)
    if group is None or not is_ours(environment, name, as_tags(group.get("Tags"))):
        return None
    return _owned(group)


def delete_subnet_groups(aws: Aws, names: Names) -> None:
    """See `kind.Delete`."""
    for name in subnet_group_names(names):
        delete_subnet_group(aws.redshift, names.environment, name)


def delete_subnet_group(redshift: RedshiftClient, environment: Environment, name: str) -> None:
    """Delete our group; absent is success. Raises NotReady while a cluster uses it; ForeignResource."""
    group = _read(redshift, name)
    if group is None:
        return
    check_ours(SUBNET_GROUP, name, as_tags(group.get("Tags")), environment)
    with translate_aws_errors(f"delete {SUBNET_GROUP} {name}", ignore=_ABSENT, retry=_IN_USE):
        redshift.delete_cluster_subnet_group(ClusterSubnetGroupName=name)


def list_owned_subnet_groups(redshift: RedshiftClient, environment: Environment) -> list[Owned]:
    """Every subnet group of the environment, of whatever generation."""
    with translate_aws_errors("list Redshift subnet groups"):
        pages = redshift.get_paginator("describe_cluster_subnet_groups").paginate()
        groups = [group for page in pages for group in page["ClusterSubnetGroups"]]
    return [
        _owned(group)
        for group in groups
        if is_ours(environment, group.get("ClusterSubnetGroupName", ""), as_tags(group.get("Tags")))
    ]


def _read(redshift: RedshiftClient, name: str) -> Mapping[str, Any] | None:
    with translate_aws_errors(f"read {SUBNET_GROUP} {name}", ignore=_ABSENT):
        groups = redshift.describe_cluster_subnet_groups(ClusterSubnetGroupName=name)["ClusterSubnetGroups"]
        return groups[0] if groups else None
    return None


def _owned(group: Mapping[str, Any]) -> Owned:
    name = group["ClusterSubnetGroupName"]
    return Owned(SUBNET_GROUP, name, name, as_tags(group.get("Tags")), group.get("SubnetGroupStatus", ""))


KIND = Kind(
    title=SUBNET_GROUP,
    names=subnet_group_names,
    list_owned=lambda aws, environment: list_owned_subnet_groups(aws.redshift, environment),
    ensure=ensure_subnet_groups,
    delete=lambda aws, names, *, keep_data: delete_subnet_groups(aws, names),
)
