"""The registry lists every kind of resource, in an order in which AWS lets a generation be made and deleted."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from airflow_lib import resources
from airflow_lib.aws.clients import Aws
from airflow_lib.naming import Environment, Names, Slot, generation_of, slot_of
from airflow_lib.resources import (
    emr_cluster,
    iam_roles,
    instance_profiles,
    redshift_cluster,
    security_groups,
    snapshots,
    subnet_groups,
)
from airflow_lib.resources.iam_roles import ROLE
from airflow_lib.resources.instance_profiles import PROFILE
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.registry import REGISTRY
from airflow_lib.resources.snapshots import SNAPSHOT, ensure_snapshot_tags, probe_snapshot

from .conftest import (
    ENVIRONMENT,
    OTHER,
    TAGS,
    delete_whole,
    ensure_all,
    ensure_whole,
    list_all,
    spec_of,
    tags_of,
)

ALL_NAMES = [Names(ENVIRONMENT, slot, 3) for slot in Slot]
TITLES = [kind.title for kind in REGISTRY]
CLUSTERS = {emr_cluster.CLUSTER, redshift_cluster.CLUSTER}


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(resources.__path__, f"{resources.__name__}."):
        yield importlib.import_module(found.name)


def _named(owned: dict[str, list[Any]]) -> dict[str, set[str]]:
    """The names listed, by kind; kinds of which there is none are left out."""
    return {title: {one.name for one in listed} for title, listed in owned.items() if listed}


def _possible(names: Names) -> dict[str, set[str]]:
    """The names that a generation may have, by kind; kinds that it has none of are left out."""
    return {kind.title: set(kind.names(names)) for kind in REGISTRY if kind.names(names)}


def test_every_file_of_a_kind_is_in_the_registry_once() -> None:
    kinds = [module.KIND for module in _modules() if hasattr(module, "KIND")]
    assert len(kinds) == len(REGISTRY)
    assert all(sum(kind is one for one in REGISTRY) == 1 for kind in kinds)


def test_every_file_that_lists_what_is_owned_is_a_kinds() -> None:
    listing = [
        module.__name__
        for module in _modules()
        if any(
            name.startswith("list_owned_") and value.__module__ == module.__name__
            for name, value in vars(module).items()
        )
    ]
    of_kinds = [module.__name__ for module in _modules() if hasattr(module, "KIND")]
    assert sorted(listing) == sorted(of_kinds)


def test_every_kind_has_a_title_of_its_own() -> None:
    assert len(set(TITLES)) == len(TITLES)


@pytest.mark.parametrize("kind", REGISTRY, ids=TITLES)
def test_every_name_of_a_kind_is_ours_and_of_its_own_generation_and_slot(kind: Kind) -> None:
    for names in ALL_NAMES:
        for name in kind.names(names):
            assert generation_of(ENVIRONMENT, name) == 3
            assert slot_of(ENVIRONMENT, name) is names.slot
    assert any(kind.names(names) for names in ALL_NAMES)


@pytest.mark.parametrize("names", ALL_NAMES, ids=lambda names: names.slot)
def test_no_kind_has_the_same_name_twice(names: Names) -> None:
    for kind in REGISTRY:
        assert len(set(kind.names(names))) == len(kind.names(names))


def test_clusters_come_before_everything_that_they_use() -> None:
    order = [kind.uses_the_rest for kind in REGISTRY]
    assert order == sorted(order, reverse=True)
    assert {kind.title for kind in REGISTRY if kind.uses_the_rest} == CLUSTERS


def test_instance_profiles_come_before_the_roles_that_they_hold() -> None:
    assert TITLES.index(PROFILE) < TITLES.index(ROLE)


def test_everything_but_snapshots_can_be_deleted_and_everything_but_clusters_can_be_ensured() -> None:
    assert {kind.title for kind in REGISTRY if kind.delete is None} == {SNAPSHOT}
    assert {kind.title for kind in REGISTRY if kind.ensure is None} == {SNAPSHOT, *CLUSTERS}


@pytest.mark.parametrize("names", ALL_NAMES, ids=lambda names: names.slot)
def test_for_a_slot_without_such_a_thing_a_kind_asks_aws_nothing(
    names: Names, emr_spec: GenerationSpec
) -> None:
    without: Any = None  # any call would fail
    for kind in REGISTRY:
        if kind.names(names):
            continue
        if kind.ensure is not None:
            kind.ensure(without, replace(emr_spec, names=names))
        if kind.delete is not None:
            kind.delete(without, names, keep_data=True)


@pytest.mark.parametrize("slot", list(Slot))
def test_a_whole_generation_is_made_and_listed_under_the_names_that_it_may_have(
    aws: Aws, emr_spec: GenerationSpec, slot: Slot
) -> None:
    assert not emr_spec.subnet.public, "else there is no service access group"
    spec = spec_of(slot, emr_spec.subnet)
    ensure_whole(aws, spec)
    expected = _possible(spec.names)
    expected.pop(SNAPSHOT, None)  # taken when the warehouse is deleted
    assert _named(list_all(aws)) == expected
    for title, listed in list_all(aws).items():
        assert all(owned.kind == title for owned in listed)
        assert all(owned.tags.items() >= TAGS.items() for owned in listed)


@pytest.mark.parametrize("slot", list(Slot))
def test_ensuring_may_be_repeated(aws: Aws, emr_spec: GenerationSpec, slot: Slot) -> None:
    spec = spec_of(slot, emr_spec.subnet)
    ensure_all(aws, spec)
    before = list_all(aws)
    ensure_all(aws, spec)
    assert list_all(aws) == before


@pytest.mark.parametrize("keep_data", [True, False])
@pytest.mark.parametrize("slot", list(Slot))
def test_deleting_a_whole_generation_in_the_registrys_order_leaves_nothing_owned(
    aws: Aws, emr_spec: GenerationSpec, slot: Slot, keep_data: bool
) -> None:
    spec = spec_of(slot, emr_spec.subnet)
    ensure_whole(aws, spec)
    asked_again = delete_whole(aws, spec.names, keep_data=keep_data)

    assert len(asked_again) == 1, "a cluster takes its time to go; nothing after it may be in the way"
    assert set(asked_again) < CLUSTERS
    left = list_all(aws)
    left.pop(SNAPSHOT)
    assert _named(left) == {}


@pytest.mark.parametrize("keep_data", [True, False])
def test_a_final_snapshot_is_left_where_the_data_is_to_be_kept_and_none_otherwise(
    aws: Aws, warehouse_spec: GenerationSpec, keep_data: bool
) -> None:
    names = warehouse_spec.names
    ensure_whole(aws, warehouse_spec)
    delete_whole(aws, names, keep_data=keep_data)
    ensure_snapshot_tags(aws.redshift, names, warehouse_spec.tags)

    listed = snapshots.list_owned_snapshots(aws.redshift, ENVIRONMENT)
    assert [owned.name for owned in listed] == ([names.final_snapshot] if keep_data else [])
    view = probe_snapshot(aws.redshift, names.final_snapshot)
    assert (view is not None and view.ready) is keep_data


@pytest.mark.parametrize("slot", list(Slot))
def test_deleting_a_generation_leaves_the_next_one_and_other_environments_alone(
    aws: Aws, emr_spec: GenerationSpec, slot: Slot
) -> None:
    spec, newer = (spec_of(slot, emr_spec.subnet, generation) for generation in (3, 4))
    theirs = replace(spec, names=Names(OTHER, slot, 3), tags=tags_of(3, OTHER))
    for one in (newer, theirs):
        ensure_whole(aws, one)
    kept = list_all(aws), list_all(aws, OTHER)

    ensure_whole(aws, spec)
    delete_whole(aws, spec.names, keep_data=False)
    assert (list_all(aws), list_all(aws, OTHER)) == kept


@pytest.mark.parametrize("names", ALL_NAMES, ids=lambda names: names.slot)
def test_deleting_a_generation_that_is_gone_is_success(aws: Aws, names: Names) -> None:
    assert delete_whole(aws, names, keep_data=True) == []


def test_a_role_cannot_be_deleted_before_the_profile_that_holds_it(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    """Why the registry has them in that order."""
    ensure_all(aws, emr_spec)
    name = emr_spec.names.instance_role
    assert instance_profiles.probe_instance_profile(aws.iam, ENVIRONMENT, name) is not None
    with pytest.raises(aws.iam.exceptions.DeleteConflictException):
        aws.iam.delete_role(RoleName=name)


@pytest.mark.parametrize("kind", REGISTRY, ids=TITLES)
def test_in_an_empty_account_nothing_is_owned(aws: Aws, kind: Kind) -> None:
    assert kind.list_owned(aws, Environment("dev", "immigration")) == []


class Pages:
    """A client each of whose lists has one page, as given."""

    def __init__(self, **pages: Any) -> None:
        self._pages = pages

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [self._pages[operation]])


@pytest.mark.parametrize(
    "things", [None, [], [{}, {"Tags": None}, {"Tags": [{}]}, {"Tags": [{"Key": None}]}]]
)
def test_what_aws_lists_without_a_name_or_tags_is_not_ours_and_no_error(things: list[Any] | None) -> None:
    def page(key: str) -> dict[str, Any]:
        return {} if things is None else {key: things}

    client: Any = Pages(
        list_roles=page("Roles"),
        list_instance_profiles=page("InstanceProfiles"),
        describe_security_groups=page("SecurityGroups"),
        describe_cluster_subnet_groups=page("ClusterSubnetGroups"),
    )
    aws: Any = SimpleNamespace(iam=client, ec2=client, redshift=client)
    for kind in (iam_roles.KIND, instance_profiles.KIND, security_groups.KIND, subnet_groups.KIND):
        assert kind.list_owned(aws, ENVIRONMENT) == []


def test_a_rule_of_a_group_may_lack_any_part() -> None:
    """One that refers to a deleted group of a peered VPC, or to a prefix list, has no GroupId or range."""
    group = {
        "IpPermissions": [{"IpProtocol": "tcp"}, {"IpProtocol": "tcp", "UserIdGroupPairs": [{"UserId": "1"}]}]
    }
    assert len(security_groups._rules(group)) == 1
