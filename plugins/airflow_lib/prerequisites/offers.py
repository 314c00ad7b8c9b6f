"""What AWS offers in the region and the subnet's zone: instance types, node types, EMR's release and its guard."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of
from airflow_lib.pipeline import Hardware
from airflow_lib.prerequisites.finding import Finding, ok, wrong
from airflow_lib.resources.subnet import Subnet

_APPLICATIONS = frozenset({"Spark", "Livy"})
# EMR's for a release that it does not know.
_INVALID = frozenset({"InvalidRequestException", "ValidationException"})


def check_instance_types(aws: Aws, subnet: Subnet, types: frozenset[str]) -> Iterator[Finding]:
    """Whether EC2 offers the types in the subnet's zone; a cluster fails in one that does not.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
    """
    offered = {
        one["InstanceType"]
        for one in aws.ec2.describe_instance_type_offerings(
            LocationType="availability-zone",
            Filters=[
                {"Name": "location", "Values": [subnet.zone]},
                {"Name": "instance-type", "Values": sorted(types)},
            ],
        )["InstanceTypeOfferings"]
    }
    for missing in sorted(types - offered):
        yield wrong(
            f"instance type {missing}",
            f"EC2 does not offer it in {subnet.zone}, the zone of {subnet.subnet_id}. Name another type "
            "(emr.master_type, emr.core_type) or a subnet of another zone (network.subnet_id).",
        )
    if types <= offered:
        yield ok(f"instance types {', '.join(sorted(types))}", f"offered in {subnet.zone}")


def check_node_type(aws: Aws, subnet: Subnet, hardware: Hardware) -> Iterator[Finding]:
    """Whether Redshift offers the nodes in the subnet's zone: some types come in clusters of several nodes only.

    https://docs.aws.amazon.com/redshift/latest/APIReference/API_DescribeOrderableClusterOptions.html
    """
    node, kind = (
        hardware.warehouse_node_type,
        "single-node" if hardware.warehouse_nodes == 1 else "multi-node",
    )
    subject, hint = f"Redshift node type {node}", "Name another one (warehouse.node_type)"
    options = [
        option
        for page in aws.redshift.get_paginator("describe_orderable_cluster_options").paginate(NodeType=node)
        for option in page["OrderableClusterOptions"]
    ]
    if not options:
        yield wrong(subject, f"Redshift does not offer it in this region. {hint}.")
        return
    of_kind = [option for option in options if option.get("ClusterType", kind) == kind]
    if not of_kind:
        yield wrong(
            subject, f"Redshift does not offer a {kind} cluster of it. {hint}, or change warehouse.nodes."
        )
        return
    zones = {zone["Name"] for option in of_kind for zone in option.get("AvailabilityZones", ())}
    if zones and subnet.zone not in zones:
        yield wrong(
            subject,
            f"Redshift offers it in {', '.join(sorted(zones))}, and {subnet.subnet_id} is in {subnet.zone}. {hint}, or "
            "a subnet of such a zone (network.subnet_id).",
        )
    else:
        yield ok(subject, f"offered as {kind} in {subnet.zone}")


def check_release(aws: Aws, release: str) -> Iterator[Finding]:
    """Whether EMR has the release, with Spark and Livy."""
    subject = f"EMR release {release}"
    try:
        answer = aws.emr.describe_release_label(ReleaseLabel=release)
    except ClientError as error:
        if code_of(error) not in _INVALID:
            raise
        yield wrong(
            subject,
            "EMR does not have it in this region. Name one that `aws emr list-release-labels` shows (emr.release).",
        )
        return
    missing = sorted(_APPLICATIONS - {one.get("Name", "") for one in answer.get("Applications", ())})
    if missing:
        yield wrong(subject, f"it is without {' and '.join(missing)}. Name another one (emr.release).")
    else:
        yield ok(subject, "with Spark and Livy")


def check_public_access(aws: Aws) -> Iterator[Finding]:
    """EMR's block public access: Mayfly makes no rule that it refuses, so it may be on or off."""
    answer = aws.emr.get_block_public_access_configuration()["BlockPublicAccessConfiguration"]
    is_on = answer.get("BlockPublicSecurityGroupRules", False)
    yield ok(
        "EMR block public access",
        "is on; Mayfly opens nothing to everybody"
        if is_on
        else "is off; nothing of Mayfly's needs it off, so turn it on if nothing else does",
    )
