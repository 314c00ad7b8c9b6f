from __future__ import annotations

from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, ResourceError
from airflow_lib.naming import TAG_EMR_MANAGED, Names
from airflow_lib.resources import security_groups as net
from airflow_lib.resources.common import NotReady, as_tag_list
from airflow_lib.resources.security_groups import EmrGroups, Rule, SubnetFacts
from airflow_lib.settings import NetworkSettings

from .conftest import ENVIRONMENT, TAGS, Faulty, refused


def _make_emr(aws: Aws, names: Names, subnet: SubnetFacts, network: NetworkSettings) -> EmrGroups:
    return net.ensure_emr_groups(aws.ec2, names, TAGS, subnet, network=network, livy_port=8998)


def _group(aws: Aws, group_id: str) -> Any:
    return aws.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]


def _incoming(aws: Aws, group_id: str) -> set[Rule]:
    return net._rules(_group(aws, group_id))


def _public(subnet: SubnetFacts) -> SubnetFacts:
    return SubnetFacts(subnet.subnet_id, subnet.vpc_id, True, True)


def test_without_a_name_the_default_subnet_of_the_first_zone_is_taken(aws: Aws) -> None:
    facts = net.probe_subnet(aws.ec2, None)
    (subnet,) = aws.ec2.describe_subnets(SubnetIds=[facts.subnet_id])["Subnets"]
    assert subnet["DefaultForAz"]
    assert subnet["AvailabilityZone"] == "us-east-1a"
    assert not facts.has_managed_tag


def test_the_subnets_tag_is_seen(aws: Aws, subnet: SubnetFacts) -> None:
    key, value = TAG_EMR_MANAGED
    aws.ec2.create_tags(Resources=[subnet.subnet_id], Tags=[{"Key": key, "Value": value}])
    assert net.probe_subnet(aws.ec2, subnet.subnet_id).has_managed_tag


def test_a_subnet_is_public_where_its_routes_reach_an_internet_gateway(aws: Aws) -> None:
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet_id = aws.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    assert not net.probe_subnet(aws.ec2, subnet_id).public

    gateway = aws.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    aws.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    aws.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)
    assert net.probe_subnet(aws.ec2, subnet_id).public


def test_a_subnet_that_does_not_exist_is_told_with_its_setting(aws: Aws) -> None:
    with pytest.raises(ResourceError, match=r"subnet-0bad.*network\.subnet_id"):
        net.probe_subnet(aws.ec2, "subnet-0bad")


def test_a_region_without_a_default_subnet_asks_for_one(aws: Aws) -> None:
    for subnet in aws.ec2.describe_subnets()["Subnets"]:
        aws.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    with pytest.raises(ResourceError, match=r"network\.subnet_id"):
        net.probe_subnet(aws.ec2, None)


def test_livy_is_reachable_from_the_client_alone(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    groups = _make_emr(aws, emr_names, subnet, network)
    livy = [rule for rule in _incoming(aws, groups.master) if rule.cidr is not None]
    assert livy == [Rule("tcp", 8998, 8998, cidr="10.0.0.0/16")]
    assert all(rule.cidr is None for rule in _incoming(aws, groups.core))


def test_a_clients_security_group_may_be_named_instead_of_addresses(
    aws: Aws, emr_names: Names, warehouse_names: Names, subnet: SubnetFacts
) -> None:
    client = aws.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=subnet.vpc_id)
    network = NetworkSettings(client_security_group_id=client["GroupId"])
    groups = _make_emr(aws, emr_names, subnet, network)
    warehouse = net.ensure_warehouse_group(aws.ec2, warehouse_names, TAGS, subnet, network=network)

    assert Rule("tcp", 8998, 8998, group_id=client["GroupId"]) in _incoming(aws, groups.master)
    assert _incoming(aws, warehouse) == {Rule("tcp", 5439, 5439, group_id=client["GroupId"])}


def test_addresses_may_be_ipv6(aws: Aws, warehouse_names: Names, subnet: SubnetFacts) -> None:
    network = NetworkSettings(client_cidr="fd00::/64")
    group = net.ensure_warehouse_group(aws.ec2, warehouse_names, TAGS, subnet, network=network)
    assert _incoming(aws, group) == {Rule("tcp", 5439, 5439, cidr="fd00::/64")}


def test_nothing_is_open_to_everybody(
    aws: Aws, emr_names: Names, warehouse_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    groups = _make_emr(aws, emr_names, subnet, network)
    warehouse = net.ensure_warehouse_group(aws.ec2, warehouse_names, TAGS, subnet, network=network)
    assert groups.service is not None
    for group_id in (groups.master, groups.core, groups.service, warehouse):
        assert {rule.cidr for rule in _incoming(aws, group_id)} & {"0.0.0.0/0", "::/0"} == set()


def test_the_nodes_of_a_cluster_reach_each_other(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    groups = _make_emr(aws, emr_names, subnet, network)
    for group_id in (groups.master, groups.core):
        for peer in (groups.master, groups.core):
            assert Rule("tcp", 0, 65535, group_id=peer) in _incoming(aws, group_id)


def test_a_private_subnet_has_service_access_and_a_public_one_has_not(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    assert not subnet.public
    private = _make_emr(aws, emr_names, subnet, network)
    assert private.service is not None
    assert _incoming(aws, private.service) == {Rule("tcp", 9443, 9443, group_id=private.master)}
    assert Rule("tcp", 8443, 8443, group_id=private.service) in _incoming(aws, private.core)

    later = Names(ENVIRONMENT, emr_names.slot, 4)
    assert _make_emr(aws, later, _public(subnet), network).service is None


def test_emrs_groups_bear_the_tag_that_its_policy_asks_for(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    _make_emr(aws, emr_names, subnet, network)
    key, value = TAG_EMR_MANAGED
    owned = net.list_owned_groups(aws.ec2, ENVIRONMENT)
    assert len(owned) == 3
    assert all(group.tags == {**TAGS, key: value} for group in owned)


def test_what_is_ours_already_is_adopted_and_completed(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    first = _make_emr(aws, emr_names, subnet, network)
    rules = _incoming(aws, first.master)
    aws.ec2.revoke_security_group_ingress(
        GroupId=first.master, IpPermissions=[Rule("tcp", 8998, 8998, cidr="10.0.0.0/16").permission()]
    )
    assert _make_emr(aws, emr_names, subnet, network) == first
    assert _incoming(aws, first.master) == rules


def test_a_group_of_our_name_without_our_tag_is_neither_used_nor_deleted(
    aws: Aws, warehouse_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    name = warehouse_names.security_group
    theirs = aws.ec2.create_security_group(GroupName=name, Description="d", VpcId=subnet.vpc_id)["GroupId"]
    with pytest.raises(ForeignResource, match=name):
        net.ensure_warehouse_group(aws.ec2, warehouse_names, TAGS, subnet, network=network)
    net.delete_groups(aws.ec2, ENVIRONMENT, [name])
    assert _group(aws, theirs)["GroupName"] == name


def test_a_group_that_bears_our_tag_and_another_name_is_not_ours(aws: Aws, subnet: SubnetFacts) -> None:
    aws.ec2.create_security_group(
        GroupName="analyst",
        Description="d",
        VpcId=subnet.vpc_id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": as_tag_list(TAGS)}],
    )
    assert net.list_owned_groups(aws.ec2, ENVIRONMENT) == []


def test_groups_that_refer_to_each_other_lose_their_rules_before_they_go(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    groups = _make_emr(aws, emr_names, subnet, network)
    aws.ec2.authorize_security_group_egress(
        GroupId=groups.core, IpPermissions=[Rule("tcp", 1, 1, group_id=groups.master).permission()]
    )
    watched: Any = Faulty(aws.ec2)
    net.delete_groups(watched, ENVIRONMENT, net.emr_group_names(emr_names))

    assert net.list_owned_groups(aws.ec2, ENVIRONMENT) == []
    asked = [call.split("_")[0] for call in watched.calls if not call.startswith("describe")]
    assert asked == ["revoke"] * 4 + ["delete"] * 3


def test_a_group_in_use_is_not_yet_and_the_others_go(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    _make_emr(aws, emr_names, subnet, network)
    held: Any = Faulty(aws.ec2, {"delete_security_group": [refused("DependencyViolation", "in use")]})
    names = net.emr_group_names(emr_names)
    with pytest.raises(NotReady, match="in use"):
        net.delete_groups(held, ENVIRONMENT, names)
    assert len(net.list_owned_groups(aws.ec2, ENVIRONMENT)) == 1
    net.delete_groups(held, ENVIRONMENT, names)
    assert net.list_owned_groups(aws.ec2, ENVIRONMENT) == []


def test_deleting_what_is_absent_is_success(aws: Aws, emr_names: Names) -> None:
    net.delete_groups(aws.ec2, ENVIRONMENT, net.emr_group_names(emr_names))


def test_only_the_named_generation_goes(
    aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    newer = Names(ENVIRONMENT, emr_names.slot, 4)
    _make_emr(aws, emr_names, subnet, network)
    _make_emr(aws, newer, subnet, network)
    net.delete_groups(aws.ec2, ENVIRONMENT, net.emr_group_names(emr_names))
    left = {group.name for group in net.list_owned_groups(aws.ec2, ENVIRONMENT)}
    assert left == set(net.emr_group_names(newer))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("authorize_security_group_ingress", "InvalidPermission.Duplicate"),
        ("authorize_security_group_ingress", "InvalidGroup.NotFound"),
        ("describe_security_groups", "InvalidGroup.NotFound"),
    ],
)
def test_ec2_lagging_behind_its_own_writes_is_not_yet(
    aws: Aws, warehouse_names: Names, subnet: SubnetFacts, network: NetworkSettings, call: str, code: str
) -> None:
    lagging: Any = Faulty(aws.ec2, {call: [refused(code)]})
    with pytest.raises(NotReady):
        net.ensure_warehouse_group(lagging, warehouse_names, TAGS, subnet, network=network)
    assert net.ensure_warehouse_group(lagging, warehouse_names, TAGS, subnet, network=network)


def test_a_group_that_vanishes_while_it_is_deleted_is_success(
    aws: Aws, warehouse_names: Names, subnet: SubnetFacts, network: NetworkSettings
) -> None:
    net.ensure_warehouse_group(aws.ec2, warehouse_names, TAGS, subnet, network=network)
    gone: Any = Faulty(
        aws.ec2,
        {
            "revoke_security_group_ingress": [refused("InvalidPermission.NotFound")],
            "delete_security_group": [refused("InvalidGroup.NotFound")],
        },
    )
    net.delete_groups(gone, ENVIRONMENT, [warehouse_names.security_group])
