"""The facts of the subnet that the clusters are in. VPC and subnet are prerequisites: we read them only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import ResourceError
from airflow_lib.naming import TAG_EMR_MANAGED
from airflow_lib.resources.owned import as_tags

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_ABSENT = frozenset({"InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed", "InvalidSubnetId.Malformed"})


@dataclass(frozen=True)
class Subnet:
    """A subnet as EC2 describes it; `free_addresses` is how many more nodes it has room for.

    `has_managed_tag` is whether EMR's managed policy may use it; `gives_public_addresses` whether what starts in it
    gets a public address by itself.
    """

    subnet_id: str
    vpc_id: str
    zone: str
    free_addresses: int
    has_managed_tag: bool
    gives_public_addresses: bool


@dataclass(frozen=True)
class SubnetFacts:
    """`public` is what EMR, too, calls public; `has_managed_tag` is whether EMR's managed policy may use it."""

    subnet_id: str
    vpc_id: str
    public: bool
    has_managed_tag: bool


def probe_subnet(ec2: EC2Client, subnet_id: str | None) -> SubnetFacts:
    """The facts of the named subnet, or of the default VPC's first default subnet by zone.

    Raises ResourceError where there is no such subnet.
    """
    subnet = find_subnet(ec2, subnet_id)
    return SubnetFacts(
        subnet_id=subnet.subnet_id,
        vpc_id=subnet.vpc_id,
        public=is_public(read_routes(ec2, subnet.subnet_id, subnet.vpc_id)),
        has_managed_tag=subnet.has_managed_tag,
    )


def find_subnet(ec2: EC2Client, subnet_id: str | None) -> Subnet:
    """The subnet that `probe_subnet` takes, by one call and without its routes. Raises as that does."""
    subnet = _read_subnet(ec2, subnet_id)
    key, value = TAG_EMR_MANAGED
    return Subnet(
        subnet_id=subnet["SubnetId"],
        vpc_id=subnet["VpcId"],
        zone=subnet["AvailabilityZone"],
        free_addresses=subnet["AvailableIpAddressCount"],
        has_managed_tag=as_tags(subnet.get("Tags")).get(key) == value,
        gives_public_addresses=subnet.get("MapPublicIpOnLaunch", False),
    )


def read_routes(ec2: EC2Client, subnet_id: str, vpc_id: str) -> list[Mapping[str, Any]]:
    """The routes of the subnet's own table, else of its VPC's main one. Raises ResourceError where EC2 refuses."""
    with translate_aws_errors(f"read the routes of subnet {subnet_id}"):
        tables = ec2.describe_route_tables(
            Filters=[{"Name": "association.subnet-id", "Values": [subnet_id]}]
        )["RouteTables"]
        if not tables:
            tables = ec2.describe_route_tables(
                Filters=[
                    {"Name": "vpc-id", "Values": [vpc_id]},
                    {"Name": "association.main", "Values": ["true"]},
                ]
            )["RouteTables"]
    return [route for table in tables for route in table.get("Routes", [])]


def is_public(routes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the routes leads to an internet gateway."""
    return any(route.get("GatewayId", "").startswith("igw-") for route in routes)


def _read_subnet(ec2: EC2Client, subnet_id: str | None) -> Mapping[str, Any]:
    if subnet_id is not None:
        with translate_aws_errors(f"read subnet {subnet_id}", ignore=_ABSENT):
            return ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
        raise ResourceError(
            f"Subnet {subnet_id} does not exist in this region: "
            "name another one in the Airflow Variable `mayfly` (network.subnet_id)."
        )
    with translate_aws_errors("find the default subnet"):
        pages = ec2.get_paginator("describe_subnets").paginate(
            Filters=[{"Name": "default-for-az", "Values": ["true"]}]
        )
        subnets = sorted(
            (subnet for page in pages for subnet in page["Subnets"]), key=lambda one: one["AvailabilityZone"]
        )
    if not subnets:
        raise ResourceError(
            "The region has no default subnet: name a subnet in the Airflow Variable `mayfly` "
            "(network.subnet_id)."
        )
    return subnets[0]
