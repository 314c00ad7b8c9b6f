"""What moto lacks of EC2: a security group that is referenced or in use cannot be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.security_groups import SecurityGroup
from moto.emr.models import emr_backends
from moto.redshift.models import redshift_backends

from sandbox.aws.context import ACCOUNT

_ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")

# AmazonEMRServicePolicy_v2 allows actions only on resources with this tag:
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html
EMR_MANAGED_TAG = ("for-use-with-amazon-emr-managed-policies", "true")


def install() -> None:
    """Make moto refuse to delete a security group that something depends on."""
    moto_delete = EC2Backend._delete_security_group

    def delete(self: EC2Backend, vpc_id: str | None, group_id: str) -> None:
        for dependent in dependents(self, group_id):
            raise DependencyViolationError(f"resource {group_id} has a dependent object ({dependent})")
        moto_delete(self, vpc_id, group_id)

    EC2Backend._delete_security_group = delete


def prepare_default_network(region: str) -> None:
    """Give the default VPC a route to the internet, as on AWS, and EMR's tag, which its owner has to add once."""
    backend = ec2_backends[ACCOUNT][region]
    vpc = backend.get_default_vpc()
    gateway = backend.create_internet_gateway()
    backend.attach_internet_gateway(gateway.id, vpc.id)
    for table in list(backend.route_tables.values()):
        if table.vpc_id == vpc.id and table.main_association_id:
            backend.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
    tag_default_network(region)


def tag_default_network(region: str) -> None:
    """Give the default VPC and its subnets EMR's tag, without which a run's preflight refuses them."""
    backend, (key, value) = ec2_backends[ACCOUNT][region], EMR_MANAGED_TAG
    vpc = backend.get_default_vpc()
    for owned in (vpc, *backend.get_default_subnets().values()):
        owned.add_tag(key, value)


def is_public(backend: EC2Backend, subnet: Any) -> bool:
    """Whether the subnet's route table, or else its VPC's main one, has a route to an internet gateway."""
    tables = [table for table in list(backend.route_tables.values()) if table.vpc_id == subnet.vpc_id]
    own = [
        table
        for table in tables
        if any(association.get("SubnetId") == subnet.id for association in table.associations)
    ]
    main = [table for table in tables if table.main_association_id]
    return any(
        route.gateway and route.gateway.id.startswith("igw-")
        for table in own or main
        for route in table.routes
    )


def dependents(backend: EC2Backend, group_id: str) -> Iterator[str]:
    """What prevents a group's deletion: rules of other groups, and running clusters."""
    for group in all_groups(backend):
        if group.id != group_id and group_id in referenced_groups(group):
            yield f"a rule of {group.id}"
    for cluster in list(emr_backends[backend.account_id][backend.region_name].clusters.values()):
        if cluster.state not in _ENDED and group_id in cluster_groups(cluster):
            yield f"EMR cluster {cluster.id}"
    for warehouse in list(redshift_backends[backend.account_id][backend.region_name].clusters.values()):
        if group_id in (warehouse.vpc_security_group_ids or []):
            yield f"Redshift cluster {warehouse.cluster_identifier}"


def all_groups(backend: EC2Backend) -> list[SecurityGroup]:
    return [group for groups in list(backend.groups.values()) for group in list(groups.values())]


def referenced_groups(group: SecurityGroup) -> set[str]:
    """The ids of the groups that a group's rules refer to."""
    rules = [*group.ingress_rules, *group.egress_rules]
    return {rule.source_group["GroupId"] for rule in rules if rule.source_group.get("GroupId")}


def cluster_groups(cluster: Any) -> set[str]:
    """The ids of an EMR cluster's security groups."""
    named = (
        cluster.master_security_group,
        cluster.slave_security_group,
        cluster.service_access_security_group,
    )
    additional = [
        *(cluster.additional_master_security_groups or []),
        *(cluster.additional_slave_security_groups or []),
    ]
    return {group for group in (*named, *additional) if group}


def public_ports(group: SecurityGroup) -> Iterator[str]:
    """Inbound port ranges open to the world, which EMR's block public access forbids (all ports but 22)."""
    for rule in group.ingress_rules:
        if not {"0.0.0.0/0", "::/0"} & {rule.cidr_ipv4, rule.cidr_ipv6}:
            continue
        if (rule.from_port, rule.to_port) != (22, 22):
            yield "all" if rule.from_port is None else f"{rule.from_port}-{rule.to_port}"
