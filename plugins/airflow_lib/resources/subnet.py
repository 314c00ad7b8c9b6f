"""The facts of the subnet that the clusters are in. VPC and subnet are prerequisites: we read them only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import ResourceError
from airflow_lib.naming import TAG_EMR_MANAGED
from airflow_lib.resources.owned import as_tags

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


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
    subnet = _read_subnet(ec2, subnet_id)
    key, value = TAG_EMR_MANAGED
    return SubnetFacts(
        subnet_id=subnet["SubnetId"],
        vpc_id=subnet["VpcId"],
        public=_is_public(ec2, subnet["SubnetId"], subnet["VpcId"]),
        has_managed_tag=as_tags(subnet.get("Tags")).get(key) == value,
    )


def _read_subnet(ec2: EC2Client, subnet_id: str | None) -> Mapping[str, Any]:
    if subnet_id is not None:
        with translate_aws_errors(f"read subnet {subnet_id}", ignore={"InvalidSubnetID.NotFound"}):
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


def _is_public(ec2: EC2Client, subnet_id: str, vpc_id: str) -> bool:
    """Whether a route of the subnet's table leads to an internet gateway."""
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
    routes = [route for table in tables for route in table.get("Routes", [])]
    return any(route.get("GatewayId", "").startswith("igw-") for route in routes)
