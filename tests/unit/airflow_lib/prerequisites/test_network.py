"""Ways to S3, and addresses; the faults that are named are in test_doctor.py and steps/test_preflight.py."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_lib.naming import Slot
from airflow_lib.pipeline import Hardware
from airflow_lib.prerequisites.finding import examine
from airflow_lib.prerequisites.network import check_addresses, check_clients, check_route
from airflow_lib.resources.subnet import Subnet
from airflow_lib.settings import NetworkSettings

from .account import REGION, Account

LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}


def subnet(**changes: Any) -> Subnet:
    facts = {"subnet_id": "subnet-1", "vpc_id": "vpc-1", "zone": "us-east-1a", "free_addresses": 9}
    return Subnet(**{**facts, "has_managed_tag": True, "gives_public_addresses": False} | changes)


def route(**target: str) -> dict[str, str]:
    return {"DestinationCidrBlock": "0.0.0.0/0", "State": "active", **target}


@pytest.mark.parametrize(
    ("routes", "public_addresses", "standing"),
    [
        ([], False, "wrong"),
        ([route(GatewayId="igw-1")], True, "ok"),
        ([route(GatewayId="igw-1")], False, "wrong"),
        ([route(GatewayId="igw-1"), {"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1"}], False, "ok"),
        ([{"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1"}], False, "ok"),
        ([route(NatGatewayId="nat-1")], False, "ok"),
        ([route(TransitGatewayId="tgw-1")], False, "ok"),
        ([route(GatewayId="vgw-1")], False, "ok"),
        ([route(NatGatewayId="nat-1") | {"State": "blackhole"}], False, "wrong"),
        ([route(GatewayId="igw-1") | {"State": "blackhole"}], True, "wrong"),
        ([route(TransitGatewayId="tgw-1") | {"DestinationCidrBlock": "10.1.0.0/16"}], False, "wrong"),
    ],
)
def test_a_way_to_s3_is_one_that_leads_there(
    account: Account, routes: list[dict[str, str]], *, public_addresses: bool, standing: str
) -> None:
    account.answers["ec2.DescribeRouteTables"] = {"RouteTables": [{"Routes": [LOCAL, *routes]}]}
    account.answers["ec2.DescribeVpcEndpoints"] = {"VpcEndpoints": []}
    with account.watched():
        (found,) = check_route(account.aws, subnet(gives_public_addresses=public_addresses), REGION)
    assert found.standing == standing


def test_an_interface_endpoint_needs_no_route(account: Account) -> None:
    account.answers["ec2.DescribeRouteTables"] = {"RouteTables": [{"Routes": [LOCAL]}]}
    account.answers["ec2.DescribeVpcEndpoints"] = {"VpcEndpoints": [{"VpcEndpointId": "vpce-1"}]}
    with account.watched():
        (found,) = check_route(account.aws, subnet(), REGION)
    assert found.standing == "ok"


@pytest.mark.parametrize(
    ("slots", "nodes", "needed"),
    [
        ((Slot.EMR,), 1, 4),
        ((Slot.WAREHOUSE,), 1, 1),
        ((Slot.WAREHOUSE,), 2, 3),
        (tuple(Slot), 2, 7),
        ((), 1, 0),
    ],
)
def test_addresses_are_needed_for_each_node_and_a_leader(
    slots: tuple[Slot, ...], nodes: int, needed: int
) -> None:
    hardware = Hardware(core_count=3, warehouse_nodes=nodes)
    (enough,) = check_addresses(subnet(free_addresses=needed), hardware, slots)
    assert (enough.standing, enough.message) == ("ok", f"{needed} free, {needed} needed")
    if needed:
        (too_few,) = check_addresses(subnet(free_addresses=needed - 1), hardware, slots)
        assert too_few.standing == "wrong"


def test_a_clients_group_of_the_clusters_vpc_is_told_by_name(account: Account) -> None:
    vpc = account.aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = account.aws.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=vpc)["GroupId"]
    (found,) = check_clients(account.aws, NetworkSettings(client_security_group_id=group), subnet(vpc_id=vpc))
    assert (found.standing, found.message) == ("ok", "its members may connect (airflow)")


@pytest.mark.parametrize(
    ("peers", "standing"),
    [(("vpc-1", "there"), "ok"), (("there", "vpc-1"), "ok"), (("vpc-1", "vpc-3"), "wrong"), ((), "wrong")],
)
def test_a_clients_group_may_be_of_a_peered_vpc(
    account: Account, peers: tuple[str, ...], standing: str
) -> None:
    vpc = account.aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = account.aws.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=vpc)["GroupId"]
    sides = [{"VpcId": vpc if one == "there" else one} for one in peers]
    account.answers["ec2.DescribeVpcPeeringConnections"] = {
        "VpcPeeringConnections": [{"RequesterVpcInfo": sides[0], "AccepterVpcInfo": sides[1]}]
        if sides
        else []
    }
    with account.watched():
        (found,) = check_clients(account.aws, NetworkSettings(client_security_group_id=group), subnet())
    assert found.standing == standing


def test_whether_vpcs_are_peered_may_be_unknown(account: Account) -> None:
    vpc = account.aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = account.aws.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=vpc)["GroupId"]
    account.refuse("ec2.DescribeVpcPeeringConnections", "UnauthorizedOperation", status=403)
    network = NetworkSettings(client_security_group_id=group)
    with account.watched():
        (found,) = examine("clients", lambda: check_clients(account.aws, network, subnet()))
    assert found.standing == "unknown"
