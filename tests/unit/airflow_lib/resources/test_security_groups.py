from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady, ResourceError
from airflow_lib.naming import TAG_EMR_MANAGED, Names, Slot
from airflow_lib.resources import security_groups as net
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.owned import as_tag_list
from airflow_lib.resources.security_groups import Rule
from airflow_lib.resources.subnet import SubnetFacts, probe_subnet

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused, settings_with, spec_of, tags_of, with_clients


def _ensure(aws: Aws, spec: GenerationSpec) -> dict[str, str]:
    """Make the groups; their ids, by name."""
    net.ensure_groups(aws, spec)
    return net.find_groups(aws.ec2, spec.names, spec.subnet)


def _delete(aws: Aws, names: Names) -> None:
    assert net.KIND.delete is not None
    net.KIND.delete(aws, names, keep_data=False)


def _group(aws: Aws, group_id: str) -> Any:
    return aws.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]


def _incoming(aws: Aws, group_id: str) -> set[Rule]:
    return net._rules(_group(aws, group_id))


def _public(subnet: SubnetFacts) -> SubnetFacts:
    return replace(subnet, public=True)


def _other_vpc(aws: Aws) -> SubnetFacts:
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = aws.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    return probe_subnet(aws.ec2, subnet)


def test_livy_is_reachable_from_the_client_alone(aws: Aws, emr_spec: GenerationSpec) -> None:
    names, groups = emr_spec.names, _ensure(aws, emr_spec)
    livy = [rule for rule in _incoming(aws, groups[names.master_security_group]) if rule.cidr is not None]
    assert livy == [Rule("tcp", 8998, 8998, cidr="10.0.0.0/16")]
    assert all(rule.cidr is None for rule in _incoming(aws, groups[names.core_security_group]))


def test_livys_port_is_the_settings(aws: Aws, emr_spec: GenerationSpec) -> None:
    spec = replace(emr_spec, settings=settings_with(livy={"port": 9000}))
    master = _ensure(aws, spec)[spec.names.master_security_group]
    assert Rule("tcp", 9000, 9000, cidr="10.0.0.0/16") in _incoming(aws, master)


def test_a_clients_security_group_may_be_named_instead_of_addresses(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec
) -> None:
    vpc = emr_spec.subnet.vpc_id
    client = aws.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=vpc)["GroupId"]
    settings = settings_with(network={"client_security_group_id": client})
    groups = _ensure(aws, replace(emr_spec, settings=settings))
    warehouse = _ensure(aws, replace(warehouse_spec, settings=settings))

    master = groups[emr_spec.names.master_security_group]
    assert Rule("tcp", 8998, 8998, group_id=client) in _incoming(aws, master)
    assert _incoming(aws, warehouse[warehouse_spec.names.security_group]) == {
        Rule("tcp", 5439, 5439, group_id=client)
    }


def test_addresses_may_be_ipv6(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    spec = replace(warehouse_spec, settings=settings_with(network={"client_cidr": "fd00::/64"}))
    group = _ensure(aws, spec)[spec.names.security_group]
    assert _incoming(aws, group) == {Rule("tcp", 5439, 5439, cidr="fd00::/64")}


def test_nothing_is_open_to_everybody(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec
) -> None:
    groups = {**_ensure(aws, emr_spec), **_ensure(aws, warehouse_spec)}
    assert len(groups) == 4
    for group_id in groups.values():
        assert {rule.cidr for rule in _incoming(aws, group_id)} & {"0.0.0.0/0", "::/0"} == set()


def test_the_nodes_of_a_cluster_reach_each_other(aws: Aws, emr_spec: GenerationSpec) -> None:
    names, groups = emr_spec.names, _ensure(aws, emr_spec)
    nodes = [groups[names.master_security_group], groups[names.core_security_group]]
    for group_id in nodes:
        for peer in nodes:
            assert Rule("tcp", 0, 65535, group_id=peer) in _incoming(aws, group_id)


def test_a_private_subnet_has_service_access_and_a_public_one_has_not(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    names = emr_spec.names
    assert not emr_spec.subnet.public
    private = _ensure(aws, emr_spec)
    service, master = private[names.service_security_group], private[names.master_security_group]
    assert _incoming(aws, service) == {Rule("tcp", 9443, 9443, group_id=master)}
    assert Rule("tcp", 8443, 8443, group_id=service) in _incoming(aws, private[names.core_security_group])

    later = spec_of(Slot.EMR, _public(emr_spec.subnet), 4)
    assert set(_ensure(aws, later)) == {later.names.master_security_group, later.names.core_security_group}
    assert later.names.service_security_group not in {
        group.name for group in net.list_owned_groups(aws.ec2, ENVIRONMENT)
    }


def test_a_service_access_group_of_a_private_attempt_is_not_used_once_the_subnet_is_public(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    """EMR refuses: "You cannot specify a ServiceAccessSecurityGroup for a cluster launched in public subnet"."""
    names = emr_spec.names
    _ensure(aws, emr_spec)
    found = net.find_groups(aws.ec2, names, _public(emr_spec.subnet))
    assert set(found) == {names.master_security_group, names.core_security_group}


def test_the_groups_of_a_generation_are_found_by_name(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec
) -> None:
    ids = {**_ensure(aws, emr_spec), **_ensure(aws, warehouse_spec)}
    _ensure(aws, spec_of(Slot.EMR, emr_spec.subnet, 4))
    emr = net.find_groups(aws.ec2, emr_spec.names, emr_spec.subnet)
    warehouse = net.find_groups(aws.ec2, warehouse_spec.names, warehouse_spec.subnet)
    assert set(emr) == set(net.group_names(emr_spec.names))
    assert set(warehouse) == {warehouse_spec.names.security_group}
    assert ids == {**emr, **warehouse}
    for name, group_id in ids.items():
        assert _group(aws, group_id)["GroupName"] == name


def test_the_groups_are_those_of_the_subnets_own_vpc(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    """A security group cannot be used outside its VPC; names are unique within one only."""
    name = warehouse_spec.names.security_group
    here, there = warehouse_spec, replace(warehouse_spec, subnet=_other_vpc(aws))
    for spec in (here, there):
        net.ensure_groups(aws, spec)
    for spec in (here, there):
        found = net.find_groups(aws.ec2, spec.names, spec.subnet)[name]
        assert _group(aws, found)["VpcId"] == spec.subnet.vpc_id


@pytest.mark.parametrize("lost", ["master", "core", "access"])
def test_a_group_that_ec2_does_not_list_yet_is_not_ready(
    aws: Aws, emr_spec: GenerationSpec, lost: str
) -> None:
    name = f"mayfly-dev-immigration-emr-{lost}-g3"
    _ensure(aws, emr_spec)
    net.delete_groups(aws.ec2, ENVIRONMENT, [name])
    with pytest.raises(NotReady, match=f"{name} yet"):
        net.find_groups(aws.ec2, emr_spec.names, emr_spec.subnet)


def test_without_any_group_a_warehouse_is_not_ready(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    with pytest.raises(NotReady, match=warehouse_spec.names.security_group):
        net.find_groups(aws.ec2, warehouse_spec.names, warehouse_spec.subnet)


def test_emrs_groups_bear_the_tag_that_its_policy_asks_for(aws: Aws, emr_spec: GenerationSpec) -> None:
    net.ensure_groups(aws, emr_spec)
    key, value = TAG_EMR_MANAGED
    owned = net.list_owned_groups(aws.ec2, ENVIRONMENT)
    assert len(owned) == 3
    assert all(group.tags == {**TAGS, key: value} for group in owned)


def test_the_warehouses_group_bears_our_tags_alone(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    net.ensure_groups(aws, warehouse_spec)
    (owned,) = net.list_owned_groups(aws.ec2, ENVIRONMENT)
    assert owned.tags == TAGS


def test_what_is_ours_already_is_adopted_and_completed(aws: Aws, emr_spec: GenerationSpec) -> None:
    first = _ensure(aws, emr_spec)
    master = first[emr_spec.names.master_security_group]
    rules = _incoming(aws, master)
    aws.ec2.revoke_security_group_ingress(
        GroupId=master, IpPermissions=[Rule("tcp", 8998, 8998, cidr="10.0.0.0/16").permission()]
    )
    assert _ensure(aws, emr_spec) == first
    assert _incoming(aws, master) == rules


def test_a_group_of_our_name_without_our_tag_is_neither_used_nor_deleted(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    name, vpc = warehouse_spec.names.security_group, warehouse_spec.subnet.vpc_id
    theirs = aws.ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]
    with pytest.raises(ForeignResource, match=name):
        net.ensure_groups(aws, warehouse_spec)
    with pytest.raises(NotReady):
        net.find_groups(aws.ec2, warehouse_spec.names, warehouse_spec.subnet)
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


def test_another_environment_with_a_longer_name_is_not_ours(aws: Aws, emr_spec: GenerationSpec) -> None:
    theirs = replace(emr_spec, names=Names(OTHER, Slot.EMR, 3), tags=tags_of(3, OTHER))
    net.ensure_groups(aws, theirs)
    assert net.list_owned_groups(aws.ec2, ENVIRONMENT) == []
    assert len(net.list_owned_groups(aws.ec2, OTHER)) == 3


def test_groups_that_refer_to_each_other_lose_their_rules_before_they_go(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    names, groups = emr_spec.names, _ensure(aws, emr_spec)
    aws.ec2.authorize_security_group_egress(
        GroupId=groups[names.core_security_group],
        IpPermissions=[Rule("tcp", 1, 1, group_id=groups[names.master_security_group]).permission()],
    )
    watched = Faulty(aws.ec2)
    _delete(with_clients(aws, ec2=watched), names)

    assert net.list_owned_groups(aws.ec2, ENVIRONMENT) == []
    asked = [call.split("_")[0] for call in watched.calls if not call.startswith("describe")]
    assert asked == ["revoke"] * 4 + ["delete"] * 3


def test_a_group_in_use_is_not_ready_and_the_others_go(aws: Aws, emr_spec: GenerationSpec) -> None:
    net.ensure_groups(aws, emr_spec)
    held = with_clients(
        aws, ec2=Faulty(aws.ec2, {"delete_security_group": [refused("DependencyViolation", "in use")]})
    )
    with pytest.raises(NotReady, match="in use"):
        _delete(held, emr_spec.names)
    assert len(net.list_owned_groups(aws.ec2, ENVIRONMENT)) == 1
    _delete(held, emr_spec.names)
    assert net.list_owned_groups(aws.ec2, ENVIRONMENT) == []


def test_deleting_what_is_absent_is_success(aws: Aws, emr_names: Names) -> None:
    _delete(aws, emr_names)


def test_only_the_named_generation_goes(aws: Aws, emr_spec: GenerationSpec) -> None:
    newer = spec_of(Slot.EMR, emr_spec.subnet, 4)
    net.ensure_groups(aws, emr_spec)
    net.ensure_groups(aws, newer)
    _delete(aws, emr_spec.names)
    left = {group.name for group in net.list_owned_groups(aws.ec2, ENVIRONMENT)}
    assert left == set(net.group_names(newer.names))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("authorize_security_group_ingress", "InvalidPermission.Duplicate"),
        ("authorize_security_group_ingress", "InvalidGroup.NotFound"),
        ("describe_security_groups", "InvalidGroup.NotFound"),
    ],
)
def test_while_ec2_lags_behind_its_own_writes_a_group_is_not_ready(
    aws: Aws, warehouse_spec: GenerationSpec, call: str, code: str
) -> None:
    lagging = with_clients(aws, ec2=Faulty(aws.ec2, {call: [refused(code)]}))
    with pytest.raises(NotReady):
        net.ensure_groups(lagging, warehouse_spec)
    assert _ensure(lagging, warehouse_spec)


CLIENT = "sg-0123456789abcdef0"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidGroup.NotFound", f"The security group '{CLIENT}' does not exist"),
        ("InvalidGroup.NotFound", "You have specified two resources that belong to different networks."),
        ("InvalidGroupId.Malformed", f'Invalid id: "{CLIENT}" (expecting "sg-...")'),
    ],
)
@pytest.mark.parametrize("slot", list(Slot))
def test_a_clients_group_that_is_not_there_is_not_waited_for(
    aws: Aws, subnet: SubnetFacts, slot: Slot, code: str, message: str
) -> None:
    """It was there before us, so nothing lags: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    settings = settings_with(network={"client_security_group_id": CLIENT})
    spec = replace(spec_of(slot, _public(subnet)), settings=settings)
    asked = Faulty(aws.ec2, {"authorize_security_group_ingress": [refused(code, message)]})
    with pytest.raises(ResourceError, match=code) as caught:
        net.ensure_groups(with_clients(aws, ec2=asked), spec)
    assert not isinstance(caught.value, NotReady)


def test_a_group_that_exists_but_is_not_found_yet_is_not_ready(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    lagging = with_clients(
        aws, ec2=Faulty(aws.ec2, {"create_security_group": [refused("InvalidGroup.Duplicate")]})
    )
    with pytest.raises(NotReady, match="does not find it yet"):
        net.ensure_groups(lagging, warehouse_spec)


def test_a_group_that_vanishes_while_it_is_deleted_is_success(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    net.ensure_groups(aws, warehouse_spec)
    faults: dict[str, list[Exception]] = {
        "revoke_security_group_ingress": [refused("InvalidPermission.NotFound")],
        "delete_security_group": [refused("InvalidGroup.NotFound")],
    }
    _delete(with_clients(aws, ec2=Faulty(aws.ec2, faults)), warehouse_spec.names)
