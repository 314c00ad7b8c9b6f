"""IAM roles: EMR's service role, the role of its EC2 instances, and Redshift's role for COPY and UNLOAD.

What the roles may do is in `iam_policies`. IAM is eventually consistent: a role just made may be unknown to IAM
itself (NotReady here), and it or its policies to EMR and Redshift (`are_young`), for up to two minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import NotReady, ResourceError
from airflow_lib.naming import Environment, Names, Slot, generation_of, is_ours
from airflow_lib.resources import iam_policies as policies
from airflow_lib.resources.iam_policies import EmrScope
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.owned import Owned, as_tag_list, as_tags, attempt_all, check_ours

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ROLE = "IAM role"

# For how long after a role was made another service may not see it, its policies, its instance profile, or a group
# made beside it. IAM names no bound; Terraform's provider waits 2 minutes (internal/service/iam/wait.go,
# propagationTimeout; so does its RunJobFlow), and a policy or a profile may be younger than its role.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
SETTLED_S = 120
LAG_S = 300

_EXISTS = frozenset({"EntityAlreadyExists"})
_ABSENT = frozenset({"NoSuchEntity"})
# A role just made may not be found by the next call, and two changes at once exclude each other.
_LAGGING = frozenset({"NoSuchEntity", "ConcurrentModification"})
# DeleteConflict right after the last policy or role was taken away is IAM lagging behind itself.
_HELD = frozenset({"DeleteConflict", "ConcurrentModification"})


def role_names(names: Names) -> tuple[str, ...]:
    """The roles of a generation."""
    if names.slot is Slot.EMR:
        return names.instance_role, names.service_role
    return (names.copy_role,)


def ensure_roles(aws: Aws, spec: GenerationSpec) -> None:
    """The roles of the generation, with exactly the policies that its folders need.

    Raises ForeignResource where a name is taken; NotReady while IAM does not see its own writes.
    """
    if spec.names.slot is Slot.EMR:
        scope = EmrScope(source=spec.source, processed=spec.processed, logs=spec.logs.below("emr"))
        ensure_emr_roles(aws.iam, spec.names, spec.tags, scope)
    else:
        ensure_copy_role(aws.iam, spec.names, spec.tags, spec.processed, spec.published)


def ensure_emr_roles(iam: IAMClient, names: Names, tags: Mapping[str, str], scope: EmrScope) -> None:
    """The EC2 instances' role and EMR's service role. Raises as `ensure_roles`."""
    partition = iam.meta.partition
    instance, service = names.instance_role, names.service_role
    instance_arn = _ensure_role(iam, names.environment, instance, tags, policies.trust("ec2"))
    _put_policy(iam, instance, "s3", policies.instance_policy(scope, partition))
    account = instance_arn.split(":")[4]
    _ensure_role(iam, names.environment, service, tags, policies.trust("elasticmapreduce", account))
    with translate_aws_errors(f"attach EMR's managed policy to {ROLE} {service}", retry=_LAGGING):
        iam.attach_role_policy(RoleName=service, PolicyArn=policies.emr_service_policy_arn(partition))
    _put_policy(iam, service, "pass-ec2-role", policies.pass_role_policy(instance_arn))


def ensure_copy_role(
    iam: IAMClient, names: Names, tags: Mapping[str, str], processed: S3Location, published: S3Location
) -> str:
    """The ARN of the role with which Redshift reads `processed` and writes `published`. Raises as `ensure_roles`."""
    arn = _ensure_role(iam, names.environment, names.copy_role, tags, policies.trust("redshift"))
    _put_policy(iam, names.copy_role, "s3", policies.copy_policy(processed, published, iam.meta.partition))
    return arn


def probe_role(iam: IAMClient, environment: Environment, name: str) -> Owned | None:
    """Our role of that name, or None where it is absent or not ours."""
    role = _read_role(iam, name)
    if role is None or not is_ours(environment, name, as_tags(role.get("Tags"))):
        return None
    return Owned(ROLE, str(role["Arn"]), name, as_tags(role.get("Tags")))


def are_young(aws: Aws, names: Names, at: datetime, *, below_s: float = LAG_S) -> bool:
    """Whether one of the generation's roles was made less than `below_s` seconds before `at`, a time of AWS's.

    Then a service that refuses them may only be late to see them. A role that IAM itself does not find yet is young;
    where AWS refuses to tell, none is.
    """
    for name in role_names(names):
        try:
            role = _read_role(aws.iam, name)
        except ResourceError:
            return False
        if role is None or (at - role["CreateDate"]).total_seconds() < below_s:
            return True
    return False


def delete_roles(aws: Aws, names: Names) -> None:
    """See `kind.Delete`."""
    attempt_all(partial(delete_role, aws.iam, names.environment, name) for name in role_names(names))


def delete_role(iam: IAMClient, environment: Environment, name: str) -> None:
    """Strip our role of its policies and delete it; absent is success.

    Raises ForeignResource where it is not ours; NotReady while something still holds it.
    """
    role = _read_role(iam, name)
    if role is None:
        return
    check_ours(ROLE, name, as_tags(role.get("Tags")), environment)
    with translate_aws_errors(f"strip {ROLE} {name} of its policies", ignore=_ABSENT, retry=_HELD):
        for attached in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
            for policy in attached["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for inline in iam.get_paginator("list_role_policies").paginate(RoleName=name):
            for policy_name in inline["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
    with translate_aws_errors(f"delete {ROLE} {name}", ignore=_ABSENT, retry=_HELD):
        iam.delete_role(RoleName=name)


def list_owned_roles(iam: IAMClient, environment: Environment) -> list[Owned]:
    """Every role of the environment, of whatever generation."""
    with translate_aws_errors("list IAM roles"):
        pages = iam.get_paginator("list_roles").paginate()
        named = [role.get("RoleName", "") for page in pages for role in page.get("Roles", ())]
    ours = [name for name in named if generation_of(environment, name) is not None]
    found = (probe_role(iam, environment, name) for name in ours)
    return [role for role in found if role]


def _ensure_role(
    iam: IAMClient, environment: Environment, name: str, tags: Mapping[str, str], trust: dict[str, Any]
) -> str:
    with translate_aws_errors(f"create {ROLE} {name}", ignore=_EXISTS, retry={"ConcurrentModification"}):
        made = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=as_tag_list(tags)
        )
        return made["Role"]["Arn"]
    role = _read_role(iam, name)
    if role is None:
        raise NotReady(f"{ROLE} {name} exists, but IAM does not find it yet")
    check_ours(ROLE, name, as_tags(role.get("Tags")), environment)
    return str(role["Arn"])


def _put_policy(iam: IAMClient, role: str, policy: str, document: dict[str, Any]) -> None:
    with translate_aws_errors(f"put policy {policy} on {ROLE} {role}", retry=_LAGGING):
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def _read_role(iam: IAMClient, name: str) -> Mapping[str, Any] | None:
    with translate_aws_errors(f"read {ROLE} {name}", ignore=_ABSENT):
        return iam.get_role(RoleName=name)["Role"]
    return None


KIND = Kind(
    title=ROLE,
    names=role_names,
    list_owned=lambda aws, environment: list_owned_roles(aws.iam, environment),
    ensure=ensure_roles,
    delete=lambda aws, names, *, keep_data: delete_roles(aws, names),
)
