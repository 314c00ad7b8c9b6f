from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady, TeardownError
from airflow_lib.naming import Names
from airflow_lib.resources import iam_roles
from airflow_lib.resources.instance_profiles import ensure_profiles
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.owned import as_tag_list

from .conftest import ENVIRONMENT, LATER, NOW, OTHER, TAGS, Faulty, refused, tags_of, with_clients

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"}],
}


def _policies(aws: Aws, role: str) -> list[str]:
    return aws.iam.list_role_policies(RoleName=role)["PolicyNames"]


def _ensure_copy_role(iam: Any, spec: GenerationSpec) -> str:
    return iam_roles.ensure_copy_role(iam, spec.names, spec.tags, spec.processed, spec.published)


def test_the_roles_of_a_cluster_are_made_with_tags_on_each(aws: Aws, emr_spec: GenerationSpec) -> None:
    iam_roles.ensure_roles(aws, emr_spec)

    owned = iam_roles.list_owned_roles(aws.iam, ENVIRONMENT)
    assert {role.name for role in owned} == {emr_spec.names.service_role, emr_spec.names.instance_role}
    assert {role.name for role in owned} == set(iam_roles.role_names(emr_spec.names))
    assert all(role.tags == TAGS for role in owned)


def test_the_copy_role_of_a_warehouse_is_made_with_tags_and_found_by_its_arn(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    name = warehouse_spec.names.copy_role
    iam_roles.ensure_roles(aws, warehouse_spec)
    arn = _ensure_copy_role(aws.iam, warehouse_spec)

    assert arn.endswith(f":role/{name}")
    (owned,) = iam_roles.list_owned_roles(aws.iam, ENVIRONMENT)
    assert (owned.id, owned.name, owned.tags) == (arn, name, TAGS)
    assert iam_roles.probe_role(aws.iam, ENVIRONMENT, name) == owned


def test_what_is_ours_already_is_adopted(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec
) -> None:
    iam_roles.ensure_roles(aws, emr_spec)
    arn = _ensure_copy_role(aws.iam, warehouse_spec)
    before = iam_roles.list_owned_roles(aws.iam, ENVIRONMENT)

    iam_roles.ensure_roles(aws, emr_spec)
    assert _ensure_copy_role(aws.iam, warehouse_spec) == arn
    assert iam_roles.list_owned_roles(aws.iam, ENVIRONMENT) == before


def test_what_a_killed_attempt_left_half_made_is_completed(aws: Aws, emr_spec: GenerationSpec) -> None:
    names = emr_spec.names
    for role in (names.instance_role, names.service_role):
        aws.iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST, Tags=as_tag_list(TAGS))
    iam_roles.ensure_roles(aws, emr_spec)
    assert _policies(aws, names.instance_role) == ["s3"]
    assert _policies(aws, names.service_role) == ["pass-ec2-role"]


def test_a_role_of_our_name_without_our_tag_is_neither_used_nor_deleted(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    name = emr_spec.names.instance_role
    aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)

    with pytest.raises(ForeignResource, match=name):
        iam_roles.ensure_roles(aws, emr_spec)
    with pytest.raises(ForeignResource):
        iam_roles.delete_role(aws.iam, ENVIRONMENT, name)
    assert iam_roles.probe_role(aws.iam, ENVIRONMENT, name) is None
    assert iam_roles.list_owned_roles(aws.iam, ENVIRONMENT) == []
    assert aws.iam.get_role(RoleName=name)


def test_deleting_a_generation_deletes_all_its_roles(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec
) -> None:
    for spec in (emr_spec, warehouse_spec):
        iam_roles.ensure_roles(aws, spec)
        iam_roles.delete_roles(aws, spec.names)
    assert iam_roles.list_owned_roles(aws.iam, ENVIRONMENT) == []


def test_deleting_what_is_absent_is_success(aws: Aws, emr_names: Names, warehouse_names: Names) -> None:
    iam_roles.delete_roles(aws, emr_names)
    iam_roles.delete_roles(aws, warehouse_names)


def test_policies_that_others_attached_to_our_role_do_not_keep_it(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    name = warehouse_spec.names.copy_role
    iam_roles.ensure_roles(aws, warehouse_spec)
    aws.iam.put_role_policy(RoleName=name, PolicyName="extra", PolicyDocument=json.dumps(ALLOW))
    aws.iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam_roles.delete_roles(aws, warehouse_spec.names)
    assert iam_roles.probe_role(aws.iam, ENVIRONMENT, name) is None


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("put_role_policy", "NoSuchEntity"),
        ("put_role_policy", "ConcurrentModification"),
        ("create_role", "ConcurrentModification"),
    ],
)
def test_while_iam_lags_behind_its_own_writes_a_role_is_not_ready(
    aws: Aws, warehouse_spec: GenerationSpec, call: str, code: str
) -> None:
    lagging = Faulty(aws.iam, {call: [refused(code)]})
    with pytest.raises(NotReady):
        _ensure_copy_role(lagging, warehouse_spec)
    assert _ensure_copy_role(lagging, warehouse_spec)


def test_while_iam_does_not_know_the_service_role_yet_attaching_its_policy_is_not_ready(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    lagging = with_clients(aws, iam=Faulty(aws.iam, {"attach_role_policy": [refused("NoSuchEntity")]}))
    with pytest.raises(NotReady, match="managed policy"):
        iam_roles.ensure_roles(lagging, emr_spec)
    iam_roles.ensure_roles(lagging, emr_spec)


def test_a_role_that_exists_but_is_not_found_yet_is_not_ready(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    _ensure_copy_role(aws.iam, warehouse_spec)
    lagging = Faulty(aws.iam, {"get_role": [refused("NoSuchEntity")]})
    with pytest.raises(NotReady):
        _ensure_copy_role(lagging, warehouse_spec)


def test_a_role_still_held_is_deleted_on_the_next_try(aws: Aws, emr_spec: GenerationSpec) -> None:
    iam_roles.ensure_roles(aws, emr_spec)
    held = with_clients(aws, iam=Faulty(aws.iam, {"delete_role": [refused("DeleteConflict")]}))
    with pytest.raises(NotReady, match="DeleteConflict"):
        iam_roles.delete_roles(held, emr_spec.names)
    iam_roles.delete_roles(held, emr_spec.names)
    assert iam_roles.list_owned_roles(aws.iam, ENVIRONMENT) == []


def test_a_role_that_an_instance_profile_holds_is_not_ready_to_be_deleted(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    iam_roles.ensure_roles(aws, emr_spec)
    ensure_profiles(aws, emr_spec)
    with pytest.raises(NotReady, match=emr_spec.names.instance_role):
        iam_roles.delete_roles(aws, emr_spec.names)
    owned = iam_roles.list_owned_roles(aws.iam, ENVIRONMENT)
    assert [role.name for role in owned] == [emr_spec.names.instance_role]


def test_one_role_that_cannot_go_does_not_keep_the_other(aws: Aws, emr_spec: GenerationSpec) -> None:
    name = emr_spec.names.instance_role
    iam_roles.ensure_roles(aws, emr_spec)
    denied = with_clients(aws, iam=Faulty(aws.iam, {"delete_role": [refused("AccessDenied")]}))
    with pytest.raises(TeardownError, match=name):
        iam_roles.delete_roles(denied, emr_spec.names)
    assert [role.name for role in iam_roles.list_owned_roles(aws.iam, ENVIRONMENT)] == [name]


def test_another_environment_with_a_longer_name_is_not_ours(aws: Aws, emr_spec: GenerationSpec) -> None:
    theirs = Names(OTHER, emr_spec.names.slot, 3)
    iam_roles.ensure_roles(aws, replace(emr_spec, names=theirs, tags=tags_of(3, OTHER)))
    assert iam_roles.list_owned_roles(aws.iam, ENVIRONMENT) == []
    assert len(iam_roles.list_owned_roles(aws.iam, OTHER)) == 2


def test_a_role_that_bears_our_tag_and_another_name_is_not_ours(aws: Aws) -> None:
    aws.iam.create_role(RoleName="analyst", AssumeRolePolicyDocument=TRUST, Tags=as_tag_list(TAGS))
    assert iam_roles.list_owned_roles(aws.iam, ENVIRONMENT) == []
    with pytest.raises(ForeignResource):
        iam_roles.delete_role(aws.iam, ENVIRONMENT, "analyst")


def test_roles_are_young_for_five_minutes_after_iam_says_that_they_were_made(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    iam_roles.ensure_roles(aws, emr_spec)
    made = [aws.iam.get_role(RoleName=name)["Role"] for name in iam_roles.role_names(emr_spec.names)]
    newest = max(role["CreateDate"] for role in made)
    assert iam_roles.are_young(aws, emr_spec.names, newest - timedelta(seconds=1))
    assert iam_roles.are_young(aws, emr_spec.names, newest + timedelta(seconds=299))
    assert not iam_roles.are_young(aws, emr_spec.names, newest + timedelta(seconds=300))
    assert not iam_roles.are_young(aws, emr_spec.names, newest + timedelta(seconds=120), below_s=120)


def test_a_role_that_iam_does_not_find_is_young(aws: Aws, emr_spec: GenerationSpec) -> None:
    assert iam_roles.are_young(aws, emr_spec.names, NOW)
    iam_roles.ensure_roles(aws, emr_spec)
    iam_roles.delete_role(aws.iam, ENVIRONMENT, emr_spec.names.service_role)
    assert iam_roles.are_young(aws, emr_spec.names, LATER)


def test_where_aws_does_not_tell_a_roles_age_it_is_not_young(aws: Aws, emr_spec: GenerationSpec) -> None:
    iam_roles.ensure_roles(aws, emr_spec)
    denied = Faulty(aws.iam, {"get_role": [refused("AccessDenied")]})
    assert not iam_roles.are_young(with_clients(aws, iam=denied), emr_spec.names, NOW)


def test_a_malformed_neighbour_keeps_no_role_from_being_listed(aws: Aws, emr_spec: GenerationSpec) -> None:
    iam_roles.ensure_roles(aws, emr_spec)

    class Lists:
        def __getattr__(self, name: str) -> Any:
            return getattr(aws.iam, name)

        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self) -> list[dict[str, Any]]:
            return [{"Roles": [{}, {"Arn": "arn"}, *aws.iam.list_roles()["Roles"]]}]

    lists: Any = Lists()
    listed = {owned.name for owned in iam_roles.list_owned_roles(lists, ENVIRONMENT)}
    assert listed == set(iam_roles.role_names(emr_spec.names))
