"""IAM instance profiles: what gives EMR's EC2 instances their role. A profile has its role's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import ForeignResource, NotReady
from airflow_lib.naming import Environment, Names, Slot, is_ours
from airflow_lib.resources.iam_roles import ROLE
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.owned import Owned, as_tag_list, as_tags, check_ours

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

PROFILE = "IAM instance profile"

_EXISTS = frozenset({"EntityAlreadyExists"})
_ABSENT = frozenset({"NoSuchEntity"})
_LAGGING = frozenset({"NoSuchEntity", "ConcurrentModification"})  # as with roles
_HELD = frozenset({"DeleteConflict", "ConcurrentModification"})


def profile_names(names: Names) -> tuple[str, ...]:
    """The instance profile of an EMR generation; a warehouse has none."""
    return (names.instance_role,) if names.slot is Slot.EMR else ()


def ensure_profiles(aws: Aws, spec: GenerationSpec) -> None:
    """See `ensure_instance_profile`."""
    for name in profile_names(spec.names):
        ensure_instance_profile(aws.iam, spec.names.environment, name, spec.tags)


def ensure_instance_profile(
    iam: IAMClient, environment: Environment, name: str, tags: Mapping[str, str]
) -> None:
    """An instance profile that holds the role of the same name.

    Raises ForeignResource where the name is taken, or it holds another role; NotReady while IAM does not see its
    own writes.
    """
    with translate_aws_errors(f"create {PROFILE} {name}", ignore=_EXISTS):
        iam.create_instance_profile(InstanceProfileName=name, Tags=as_tag_list(tags))
    profile = _read_profile(iam, name)
    if profile is None:
        raise NotReady(f"{PROFILE} {name} was created, but IAM does not find it yet")
    check_ours(PROFILE, name, as_tags(profile.get("Tags")), environment)
    held = {role["RoleName"] for role in profile["Roles"]}
    if held - {name}:
        raise ForeignResource(
            f"{PROFILE} {name} holds another role ({', '.join(sorted(held))}): take it out, "
            "or EMR's instances would run with rights that are not ours to give."
        )
    if not held:
        # LimitExceeded: the profile holds a role already, by an earlier request whose answer was lost.
        action = f"put {ROLE} {name} into its instance profile"
        with translate_aws_errors(action, ignore={"LimitExceeded"}, retry=_LAGGING):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def probe_instance_profile(iam: IAMClient, environment: Environment, name: str) -> Owned | None:
    """Our instance profile of that name, or None where it is absent or not ours."""
    profile = _read_profile(iam, name)
    if profile is None or not is_ours(environment, name, as_tags(profile.get("Tags"))):
        return None
    return Owned(PROFILE, str(profile["Arn"]), name, as_tags(profile.get("Tags")))


def delete_profiles(aws: Aws, names: Names) -> None:
    """See `kind.Delete`."""
    for name in profile_names(names):
        delete_instance_profile(aws.iam, names.environment, name)


def delete_instance_profile(iam: IAMClient, environment: Environment, name: str) -> None:
    """Empty and delete our instance profile; absent is success.

    Raises ForeignResource where it is not ours; NotReady while something still holds it.
    """
    profile = _read_profile(iam, name)
    if profile is None:
        return
    check_ours(PROFILE, name, as_tags(profile.get("Tags")), environment)
    for role in profile["Roles"]:
        with translate_aws_errors(f"take {ROLE} {role['RoleName']} out of {PROFILE} {name}", ignore=_ABSENT):
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    with translate_aws_errors(f"delete {PROFILE} {name}", ignore=_ABSENT, retry=_HELD):
        iam.delete_instance_profile(InstanceProfileName=name)


def list_owned_instance_profiles(iam: IAMClient, environment: Environment) -> list[Owned]:
    """Every instance profile of the environment, of whatever generation."""
    with translate_aws_errors("list IAM instance profiles"):
        pages = iam.get_paginator("list_instance_profiles").paginate()
        names = [
            profile.get("InstanceProfileName", "") for page in pages for profile in page["InstanceProfiles"]
        ]
    ours = [name for name in names if name.startswith(environment.prefix)]
    found = (probe_instance_profile(iam, environment, name) for name in ours)
    return [profile for profile in found if profile]


def _read_profile(iam: IAMClient, name: str) -> Mapping[str, Any] | None:
    with translate_aws_errors(f"read {PROFILE} {name}", ignore=_ABSENT):
        return iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return None


KIND = Kind(
    title=PROFILE,
    names=profile_names,
    list_owned=lambda aws, environment: list_owned_instance_profiles(aws.iam, environment),
    ensure=ensure_profiles,
    delete=lambda aws, names, *, keep_data: delete_profiles(aws, names),
)
