"""The clusters' subnet, its VPC, and who may connect to them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of
from airflow_lib.naming import TAG_EMR_MANAGED, Slot
from airflow_lib.pipeline import Hardware
from airflow_lib.prerequisites.finding import Finding, ok, wrong
from airflow_lib.resources.security_groups import CLIENT_HINT
from airflow_lib.resources.subnet import Subnet, is_public, read_routes
from airflow_lib.settings import NetworkSettings

_GROUP_ID = re.compile(r"sg-[0-9a-f]{8,17}\Z")
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_NO_GROUP = frozenset(
    {"InvalidGroup.NotFound", "InvalidGroupId.Malformed", "InvalidSecurityGroupID.NotFound"}
)
_DNS = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}


def check_tag(subnet: Subnet) -> Iterator[Finding]:
    """EMR's tag on the subnet: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html"""
    key, value = TAG_EMR_MANAGED
    subject = f"tag of {subnet.subnet_id}"
    if subnet.has_managed_tag:
        yield ok(subject, f"{key}={value}")
    else:
        yield wrong(
            subject,
            f"the subnet lacks {key}={value}, without which AmazonEMRServicePolicy_v2 lets EMR start nothing in it. "
            f"Add the tag: aws ec2 create-tags --resources {subnet.subnet_id} --tags Key={key},Value={value}",
        )


def check_addresses(subnet: Subnet, hardware: Hardware, slots: Collection[Slot]) -> Iterator[Finding]:
    """Whether the subnet has room for the nodes of these slots' clusters."""
    needed = sum(_addresses(hardware)[slot] for slot in slots)
    subject = f"addresses of {subnet.subnet_id}"
    if subnet.free_addresses >= needed:
        yield ok(subject, f"{subnet.free_addresses} free, {needed} needed")
    else:
        yield wrong(
            subject,
            f"{subnet.free_addresses} are free, and the clusters need {needed}. Name a larger subnet "
            "(network.subnet_id), declare fewer nodes, or free some.",
        )


def _addresses(hardware: Hardware) -> dict[Slot, int]:
    """One for each node; a warehouse of more than one has a leader besides."""
    nodes = hardware.warehouse_nodes
    return {Slot.EMR: hardware.core_count + 1, Slot.WAREHOUSE: nodes + (1 if nodes > 1 else 0)}


def check_dns(aws: Aws, subnet: Subnet) -> Iterator[Finding]:
    """Both of the VPC's DNS attributes, without which Hadoop's nodes do not find each other.

    https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-clusters-in-a-vpc.html
    """
    subject = f"DNS of {subnet.vpc_id}"
    off = []
    for attribute, key in _DNS.items():
        answer: Mapping[str, Any] = aws.ec2.describe_vpc_attribute(
            VpcId=subnet.vpc_id,
            Attribute=attribute,  # type: ignore[arg-type]
        )
        if not answer.get(key, {}).get("Value"):
            off.append(attribute)
    if off:
        yield wrong(
            subject,
            f"{' and '.join(off)} of the VPC is off; EMR needs both attributes. Turn it on: "
            f"aws ec2 modify-vpc-attribute --vpc-id {subnet.vpc_id} --{_option(off[0])}",
        )
    else:
        yield ok(subject, "names are resolved and given to hosts")


def _option(attribute: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"-{found.group().lower()}", attribute)


def check_clients(aws: Aws, network: NetworkSettings, subnet: Subnet) -> Iterator[Finding]:
    """The client's security group: well written, there, and of the clusters' VPC or one that is peered with it."""
    group_id = network.client_security_group_id
    if group_id is None:
        yield ok("clients", f"{network.client_cidr} may connect")
        return
    subject = f"security group {group_id}"
    if not _GROUP_ID.match(group_id):
        yield wrong(
            subject, f"this is no security group's id, which is like sg-0123456789abcdef0. {CLIENT_HINT}"
        )
        return
    try:
        (group,) = aws.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    except ClientError as error:
        if code_of(error) not in _NO_GROUP:
            raise
        yield wrong(subject, f"does not exist in this region. {CLIENT_HINT}")
        return
    members = f"its members may connect ({group['GroupName']})"
    if group["VpcId"] == subnet.vpc_id:
        yield ok(subject, members)
    elif _are_peered(aws, group["VpcId"], subnet.vpc_id):
        yield ok(subject, f"{members}, from the peered {group['VpcId']}")
    else:
        yield wrong(
            subject,
            f"is of {group['VpcId']}, and the clusters' subnet is of {subnet.vpc_id}, which no active peering "
            f"connects: no rule can name it there. {CLIENT_HINT}",
        )


def _are_peered(aws: Aws, one: str, other: str) -> bool:
    """A rule may name a group of a peered VPC.

    https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html
    """
    pages = aws.ec2.get_paginator("describe_vpc_peering_connections").paginate(
        Filters=[{"Name": "status-code", "Values": ["active"]}]
    )
    return any(
        {peering["RequesterVpcInfo"].get("VpcId"), peering["AccepterVpcInfo"].get("VpcId")} == {one, other}
        for page in pages
        for peering in page["VpcPeeringConnections"]
    )


def check_route(aws: Aws, subnet: Subnet, region: str) -> Iterator[Finding]:
    """A way to S3: an endpoint, a NAT or another gateway, or an internet gateway with public addresses.

    EMR's nodes load their software from S3:
    https://docs.aws.amazon.com/emr/latest/ManagementGuide/private-subnet-iampolicy.html
    """
    routes = [route for route in read_routes(aws.ec2, subnet.subnet_id, subnet.vpc_id) if _leads(route)]
    subject = f"route to S3 from {subnet.subnet_id}"
    if is_public(routes) and subnet.gives_public_addresses:
        yield ok(subject, "an internet gateway: the subnet is public")
    elif any(route.get("GatewayId", "").startswith("vpce-") for route in routes):
        yield ok(subject, f"a gateway endpoint: the subnet is {'public' if is_public(routes) else 'private'}")
    elif is_public(routes):
        yield wrong(
            subject,
            "an internet gateway, but what starts in the subnet gets no public address to use it with. Turn on "
            "auto-assign public IPv4 for the subnet, or add a gateway endpoint for S3 to its route table.",
        )
    elif any(_goes_out(route) for route in routes):
        yield ok(subject, "a NAT or another gateway: the subnet is private")
    else:
        yield from _check_interface(aws, subject, subnet, region)


def _check_interface(aws: Aws, subject: str, subnet: Subnet, region: str) -> Iterator[Finding]:
    """An endpoint of the interface kind needs no route."""
    found = aws.ec2.describe_vpc_endpoints(
        Filters=[
            {"Name": "vpc-id", "Values": [subnet.vpc_id]},
            {"Name": "service-name", "Values": [f"com.amazonaws.{region}.s3"]},
            {"Name": "vpc-endpoint-type", "Values": ["Interface"]},
        ]
    )["VpcEndpoints"]
    if found:
        yield ok(subject, "an interface endpoint: the subnet is private")
    else:
        yield wrong(
            subject,
            "there is none: EMR's nodes could not start. Add a gateway endpoint for S3 (free of charge) or a route to "
            "a NAT gateway to the subnet's route table.",
        )


def _leads(route: Mapping[str, Any]) -> bool:
    return bool(route.get("State", "active") == "active" and route.get("GatewayId") != "local")


def _goes_out(route: Mapping[str, Any]) -> bool:
    keys = (
        "NatGatewayId",
        "TransitGatewayId",
        "NetworkInterfaceId",
        "InstanceId",
        "CoreNetworkArn",
        "LocalGatewayId",
    )
    anywhere = route.get("DestinationCidrBlock") == "0.0.0.0/0"
    return anywhere and (any(route.get(key) for key in keys) or route.get("GatewayId", "").startswith("vgw-"))
