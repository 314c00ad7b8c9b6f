from __future__ import annotations

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ResourceError
from airflow_lib.naming import TAG_EMR_MANAGED
from airflow_lib.resources.subnet import SubnetFacts, find_subnet, probe_subnet

from .conftest import Faulty, refused


def _attach_gateway(aws: Aws, vpc: str) -> str:
    gateway = aws.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    aws.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return gateway


def test_without_a_name_the_default_subnet_of_the_first_zone_is_taken(aws: Aws) -> None:
    facts = probe_subnet(aws.ec2, None)
    (subnet,) = aws.ec2.describe_subnets(SubnetIds=[facts.subnet_id])["Subnets"]
    assert subnet["DefaultForAz"]
    assert subnet["AvailabilityZone"] == "us-east-1a"
    assert subnet["VpcId"] == facts.vpc_id
    assert not facts.has_managed_tag


def test_the_tag_that_emrs_policy_asks_for_is_seen(aws: Aws, subnet: SubnetFacts) -> None:
    key, value = TAG_EMR_MANAGED
    aws.ec2.create_tags(Resources=[subnet.subnet_id], Tags=[{"Key": key, "Value": value}])
    assert probe_subnet(aws.ec2, subnet.subnet_id).has_managed_tag


def test_a_subnet_is_public_where_its_routes_reach_an_internet_gateway(aws: Aws) -> None:
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet_id = aws.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    assert not probe_subnet(aws.ec2, subnet_id).public

    gateway = _attach_gateway(aws, vpc)
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    aws.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)
    assert probe_subnet(aws.ec2, subnet_id).public


def test_a_subnet_without_a_route_table_of_its_own_has_its_vpcs_main_one(aws: Aws) -> None:
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet_id = aws.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    (main,) = aws.ec2.describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
    )["RouteTables"]
    aws.ec2.create_route(
        RouteTableId=main["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=_attach_gateway(aws, vpc),
    )
    assert probe_subnet(aws.ec2, subnet_id).public


def test_the_subnet_alone_is_found_by_one_call(aws: Aws, subnet: SubnetFacts) -> None:
    watched = Faulty(aws.ec2)
    found = find_subnet(watched, subnet.subnet_id)
    assert watched.calls == ["describe_subnets"]
    assert (found.zone, found.free_addresses, found.gives_public_addresses) == ("us-east-1a", 4091, True)


@pytest.mark.parametrize("code", ["InvalidSubnetID.Malformed", "InvalidSubnetID.NotFound"])
def test_what_is_no_subnets_id_is_named_with_its_setting(aws: Aws, code: str) -> None:
    """EC2: Invalid id: "vpc-1" (expecting "subnet-...")."""
    asked = Faulty(aws.ec2, {"describe_subnets": [refused(code)]})
    with pytest.raises(ResourceError, match=r"vpc-1.*network\.subnet_id"):
        find_subnet(asked, "vpc-1")


def test_a_subnet_that_does_not_exist_is_named_with_its_setting(aws: Aws) -> None:
    with pytest.raises(ResourceError, match=r"subnet-0bad.*network\.subnet_id"):
        probe_subnet(aws.ec2, "subnet-0bad")


def test_a_region_without_a_default_subnet_needs_the_setting(aws: Aws) -> None:
    for subnet in aws.ec2.describe_subnets()["Subnets"]:
        aws.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    with pytest.raises(ResourceError, match=r"network\.subnet_id"):
        probe_subnet(aws.ec2, None)
