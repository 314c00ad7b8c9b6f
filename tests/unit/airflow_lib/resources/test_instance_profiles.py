from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady
from airflow_lib.naming import Names
from airflow_lib.resources import instance_profiles as profiles
from airflow_lib.resources.iam_roles import delete_roles, ensure_roles, list_owned_roles
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.owned import as_tag_list

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused, tags_of, with_clients

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def spec(aws: Aws, emr_spec: GenerationSpec) -> GenerationSpec:
    """A generation whose roles are there already."""
    ensure_roles(aws, emr_spec)
    return emr_spec


def _held(aws: Aws, name: str) -> list[str]:
    profile = aws.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return [role["RoleName"] for role in profile["Roles"]]


def test_the_profile_is_made_with_tags_and_holds_the_role_of_its_name(aws: Aws, spec: GenerationSpec) -> None:
    name = spec.names.instance_role
    profiles.ensure_profiles(aws, spec)
    (profile,) = profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT)
    assert profile.name == name
    assert profile.tags == TAGS
    assert profiles.probe_instance_profile(aws.iam, ENVIRONMENT, name) == profile
    assert _held(aws, name) == [name]


def test_what_is_ours_already_is_adopted(aws: Aws, spec: GenerationSpec) -> None:
    profiles.ensure_profiles(aws, spec)
    before = profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT)
    repeated = Faulty(aws.iam)
    profiles.ensure_profiles(with_clients(aws, iam=repeated), spec)
    assert profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == before
    assert "add_role_to_instance_profile" not in repeated.calls


def test_what_a_killed_attempt_left_half_made_is_completed(aws: Aws, spec: GenerationSpec) -> None:
    name = spec.names.instance_role
    aws.iam.create_instance_profile(InstanceProfileName=name, Tags=as_tag_list(TAGS))
    profiles.ensure_profiles(aws, spec)
    assert _held(aws, name) == [name]


def test_a_role_that_a_lost_answer_put_in_already_is_success(aws: Aws, spec: GenerationSpec) -> None:
    full = Faulty(aws.iam, {"add_role_to_instance_profile": [refused("LimitExceeded")]})
    profiles.ensure_profiles(with_clients(aws, iam=full), spec)
    assert full.calls[-1] == "add_role_to_instance_profile"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("get_instance_profile", "NoSuchEntity"),
        ("add_role_to_instance_profile", "NoSuchEntity"),
        ("add_role_to_instance_profile", "ConcurrentModification"),
    ],
)
def test_while_iam_lags_behind_its_own_writes_a_profile_is_not_ready(
    aws: Aws, spec: GenerationSpec, call: str, code: str
) -> None:
    lagging = with_clients(aws, iam=Faulty(aws.iam, {call: [refused(code)]}))
    with pytest.raises(NotReady, match=spec.names.instance_role):
        profiles.ensure_profiles(lagging, spec)
    profiles.ensure_profiles(lagging, spec)
    assert _held(aws, spec.names.instance_role) == [spec.names.instance_role]


def test_a_profile_that_is_not_ours_is_neither_used_nor_deleted(aws: Aws, spec: GenerationSpec) -> None:
    name = spec.names.instance_role
    aws.iam.create_instance_profile(InstanceProfileName=name)
    with pytest.raises(ForeignResource, match="instance profile"):
        profiles.ensure_profiles(aws, spec)
    with pytest.raises(ForeignResource):
        profiles.delete_profiles(aws, spec.names)
    assert profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []
    assert _held(aws, name) == []


def test_a_profile_that_holds_somebody_elses_role_is_not_used(aws: Aws, spec: GenerationSpec) -> None:
    name = spec.names.instance_role
    aws.iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=TRUST)
    aws.iam.create_instance_profile(InstanceProfileName=name, Tags=as_tag_list(TAGS))
    aws.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName="theirs")
    with pytest.raises(ForeignResource, match="theirs"):
        profiles.ensure_profiles(aws, spec)
    assert _held(aws, name) == ["theirs"]


def test_deleting_takes_the_role_out_of_its_profile_first(aws: Aws, spec: GenerationSpec) -> None:
    profiles.ensure_profiles(aws, spec)
    watched = Faulty(aws.iam)
    profiles.delete_profiles(with_clients(aws, iam=watched), spec.names)
    assert watched.calls[1:] == ["remove_role_from_instance_profile", "delete_instance_profile"]
    assert profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []

    delete_roles(aws, spec.names)
    assert list_owned_roles(aws.iam, ENVIRONMENT) == []


def test_a_profile_still_held_is_deleted_on_the_next_try(aws: Aws, spec: GenerationSpec) -> None:
    profiles.ensure_profiles(aws, spec)
    held = with_clients(aws, iam=Faulty(aws.iam, {"delete_instance_profile": [refused("DeleteConflict")]}))
    with pytest.raises(NotReady, match="DeleteConflict"):
        profiles.delete_profiles(held, spec.names)
    profiles.delete_profiles(held, spec.names)
    assert profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []


def test_deleting_what_is_absent_is_success(aws: Aws, emr_names: Names) -> None:
    profiles.delete_profiles(aws, emr_names)


def test_a_profile_that_vanishes_while_it_is_deleted_is_success(aws: Aws, spec: GenerationSpec) -> None:
    profiles.ensure_profiles(aws, spec)
    faults: dict[str, list[Exception]] = {
        "remove_role_from_instance_profile": [refused("NoSuchEntity")],
        "delete_instance_profile": [refused("NoSuchEntity")],
    }
    profiles.delete_profiles(with_clients(aws, iam=Faulty(aws.iam, faults)), spec.names)


def test_another_environment_with_a_longer_name_is_not_ours(aws: Aws, emr_spec: GenerationSpec) -> None:
    theirs = replace(emr_spec, names=Names(OTHER, emr_spec.names.slot, 3), tags=tags_of(3, OTHER))
    ensure_roles(aws, theirs)
    profiles.ensure_profiles(aws, theirs)
    assert profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []
    assert len(profiles.list_owned_instance_profiles(aws.iam, OTHER)) == 1


def test_a_profile_that_bears_our_tag_and_another_name_is_not_ours(aws: Aws) -> None:
    aws.iam.create_instance_profile(InstanceProfileName="analyst", Tags=as_tag_list(TAGS))
    assert profiles.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []
