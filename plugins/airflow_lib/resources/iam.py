"""IAM: the roles of an EMR cluster (service, EC2 instances and their profile) and Redshift's role for COPY.

What the roles may do is in `iam_policies`. IAM is eventually consistent: a role just made may be unknown to
IAM itself (NotReady here) or to EMR and Redshift (see `emr` and `redshift`) for up to two minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ForeignResource
from airflow_lib.naming import Environment, Names, is_ours
from airflow_lib.resources import iam_policies as policies
from airflow_lib.resources.common import NotReady, Owned, as_tag_list, as_tags, asking, attempt_all, foreign
from airflow_lib.resources.iam_policies import EmrScope

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ROLE = "IAM role"
PROFILE = "IAM instance profile"

_EXISTS = frozenset({"EntityAlreadyExists"})
_ABSENT = frozenset({"NoSuchEntity"})
# A role just made may not be found by the next call, and two changes at once exclude each other.
_LAGGING = frozenset({"NoSuchEntity", "ConcurrentModification"})
# DeleteConflict right after the last policy or role was taken away is IAM lagging behind itself.
_HELD = frozenset({"DeleteConflict", "ConcurrentModification"})


@dataclass(frozen=True)
class EmrRoles:
    """What RunJobFlow names: a role's name and an instance profile's name."""

    service_role: str
    instance_profile: str


def ensure_emr_roles(iam: IAMClient, names: Names, tags: Mapping[str, str], scope: EmrScope) -> EmrRoles:
    """The service role, the EC2 role and its instance profile, with exactly the policies of `scope`.

    Raises ForeignResource where a name is taken; NotReady while IAM does not see its own writes.
    """
    partition = iam.meta.partition
    instance, service = names.instance_role, names.service_role
    instance_arn = _ensure_role(iam, names.environment, instance, tags, policies.trust("ec2"))
    _put_policy(iam, instance, "s3", policies.instance_policy(scope, partition))
    _ensure_profile(iam, names.environment, instance, tags)
    account = instance_arn.split(":")[4]
    _ensure_role(iam, names.environment, service, tags, policies.trust("elasticmapreduce", account))
    with asking(f"attach EMR's managed policy to {ROLE} {service}", again=_LAGGING):
        iam.attach_role_policy(RoleName=service, PolicyArn=policies.emr_service_policy_arn(partition))
    _put_policy(iam, service, "pass-ec2-role", policies.pass_role_policy(instance_arn))
    return EmrRoles(service_role=service, instance_profile=instance)


def ensure_copy_role(iam: IAMClient, names: Names, tags: Mapping[str, str], processed: S3Location) -> str:
    """The ARN of the role with which Redshift reads `processed`, and nothing else.

    Raises ForeignResource where the name is taken; NotReady while IAM does not see its own writes.
    """
    arn = _ensure_role(iam, names.environment, names.copy_role, tags, policies.trust("redshift"))
    _put_policy(iam, names.copy_role, "s3", policies.copy_policy(processed, iam.meta.partition))
    return arn


def probe_role(iam: IAMClient, environment: Environment, name: str) -> Owned | None:
    """Our role of that name, or None where it is absent or not ours."""
    role = _read_role(iam, name)
    if role is None or not is_ours(environment, name, as_tags(role.get("Tags"))):
        return None
    return Owned(ROLE, str(role["Arn"]), name, as_tags(role.get("Tags")))


def probe_instance_profile(iam: IAMClient, environment: Environment, name: str) -> Owned | None:
    """Our instance profile of that name, or None where it is absent or not ours."""
    profile = _read_profile(iam, name)
    if profile is None or not is_ours(environment, name, as_tags(profile.get("Tags"))):
        return None
    return Owned(PROFILE, str(profile["Arn"]), name, as_tags(profile.get("Tags")))


def delete_emr_roles(iam: IAMClient, names: Names) -> None:
    """Delete the instance profile, then both roles; all are tried.

    Raises as `delete_role`; TeardownError where more than asking again is needed.
    """
    environment = names.environment
    attempt_all(
        (
            partial(delete_instance_profile, iam, environment, names.instance_role),
            partial(delete_role, iam, environment, names.instance_role),
            partial(delete_role, iam, environment, names.service_role),
        )
    )


def delete_copy_role(iam: IAMClient, names: Names) -> None:
    """Delete Redshift's role for COPY. Raises as `delete_role`."""
    delete_role(iam, names.environment, names.copy_role)


def delete_instance_profile(iam: IAMClient, environment: Environment, name: str) -> None:
    """Empty and delete our instance profile; absent is success.

    Raises ForeignResource where it is not ours; NotReady while something still holds it.
    """
    profile = _read_profile(iam, name)
    if profile is None:
        return
    _check_ours(PROFILE, environment, name, profile)
    for role in profile["Roles"]:
        with asking(f"take {ROLE} {role['RoleName']} out of {PROFILE} {name}", ignoring=_ABSENT):
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    with asking(f"delete {PROFILE} {name}", ignoring=_ABSENT, again=_HELD):
        iam.delete_instance_profile(InstanceProfileName=name)


def delete_role(iam: IAMClient, environment: Environment, name: str) -> None:
    """Strip our role of its policies and delete it; absent is success.

    Raises ForeignResource where it is not ours; NotReady while something still holds it.
    """
    role = _read_role(iam, name)
    if role is None:
        return
    _check_ours(ROLE, environment, name, role)
    with asking(f"strip {ROLE} {name} of its policies", ignoring=_ABSENT, again=_HELD):
        for attached in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
            for policy in attached["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for inline in iam.get_paginator("list_role_policies").paginate(RoleName=name):
            for policy_name in inline["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
    with asking(f"delete {ROLE} {name}", ignoring=_ABSENT, again=_HELD):
        iam.delete_role(RoleName=name)


def list_owned_roles(iam: IAMClient, environment: Environment) -> list[Owned]:
    """Every role of the environment, of whatever generation."""
    with asking("list IAM roles"):
        pages = iam.get_paginator("list_roles").paginate()
        named = [role["RoleName"] for page in pages for role in page["Roles"]]
    found = (probe_role(iam, environment, name) for name in _of(environment, named))
    return [role for role in found if role]


def list_owned_instance_profiles(iam: IAMClient, environment: Environment) -> list[Owned]:
    """Every instance profile of the environment, of whatever generation."""
    with asking("list IAM instance profiles"):
        pages = iam.get_paginator("list_instance_profiles").paginate()
        named = [profile["InstanceProfileName"] for page in pages for profile in page["InstanceProfiles"]]
    found = (probe_instance_profile(iam, environment, name) for name in _of(environment, named))
    return [profile for profile in found if profile]


def _of(environment: Environment, named: Iterable[str]) -> list[str]:
    return [name for name in named if name.startswith(environment.prefix)]


def _ensure_role(
    iam: IAMClient, environment: Environment, name: str, tags: Mapping[str, str], trust: dict[str, Any]
) -> str:
    with asking(f"create {ROLE} {name}", ignoring=_EXISTS, again={"ConcurrentModification"}):
        made = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=as_tag_list(tags)
        )
        return made["Role"]["Arn"]
    role = _read_role(iam, name)
    if role is None:
        raise NotReady(f"{ROLE} {name} exists, but IAM does not find it yet")
    _check_ours(ROLE, environment, name, role)
    return str(role["Arn"])


def _ensure_profile(iam: IAMClient, environment: Environment, name: str, tags: Mapping[str, str]) -> None:
    """An instance profile that holds the role of the same name."""
    with asking(f"create {PROFILE} {name}", ignoring=_EXISTS):
        iam.create_instance_profile(InstanceProfileName=name, Tags=as_tag_list(tags))
    profile = _read_profile(iam, name)
    if profile is None:
        raise NotReady(f"{PROFILE} {name} was made, but IAM does not find it yet")
    _check_ours(PROFILE, environment, name, profile)
    held = {role["RoleName"] for role in profile["Roles"]}
    if held - {name}:
        raise ForeignResource(
            f"{PROFILE} {name} holds another role ({', '.join(sorted(held))}): take it out, "
            "or EMR's instances would run with rights that are not ours to give."
        )
    if not held:
        # LimitExceeded: the profile holds a role already, by an earlier request whose answer was lost.
        with asking(
            f"put {ROLE} {name} into its instance profile", ignoring={"LimitExceeded"}, again=_LAGGING
        ):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def _put_policy(iam: IAMClient, role: str, policy: str, document: dict[str, Any]) -> None:
    with asking(f"put policy {policy} on {ROLE} {role}", again=_LAGGING):
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def _read_role(iam: IAMClient, name: str) -> Mapping[str, Any] | None:
    with asking(f"read {ROLE} {name}", ignoring=_ABSENT):
        return iam.get_role(RoleName=name)["Role"]
    return None


def _read_profile(iam: IAMClient, name: str) -> Mapping[str, Any] | None:
    with asking(f"read {PROFILE} {name}", ignoring=_ABSENT):
        return iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return None


def _check_ours(kind: str, environment: Environment, name: str, found: Mapping[str, Any]) -> None:
    if not is_ours(environment, name, as_tags(found.get("Tags"))):
        raise ForeignResource(foreign(kind, name, environment))
