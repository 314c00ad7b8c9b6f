"""The RunJobFlow requests that AWS refuses, at once or later.

`refuse` raises what RunJobFlow itself answers. `find_doom` returns why a cluster that was accepted will end in
TERMINATED_WITH_ERRORS before its instances start.
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ec2.exceptions import InvalidSubnetIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.emr.exceptions import ValidationException
from moto.iam.models import InstanceProfile, Role

from sandbox.aws import iam
from sandbox.aws.context import ACCOUNT
from sandbox.aws.ec2 import EMR_MANAGED_TAG, is_public, public_ports

Request = dict[str, Any]

_MANAGED_POLICY = "AmazonEMRServicePolicy_v2"
_LATEST_EMR_7_MINOR = 13
_GROUP_KEYS = ("EmrManagedMasterSecurityGroup", "EmrManagedSlaveSecurityGroup", "ServiceAccessSecurityGroup")
_IDLE_TIMEOUT_S = range(60, 604801)


def refuse(request: Request, region: str, known_releases: list[str]) -> None:
    """Raise what RunJobFlow itself answers to a request that it refuses.

    Source of the wordings about a profile: Terraform's AWS provider asks again on both
    (internal/service/emr/cluster.go).
    """
    if not request.get("Name"):
        raise ValidationException("The job flow name is required.")
    _refuse_release(request.get("ReleaseLabel"), known_releases)
    service_role = request.get("ServiceRole")
    role = iam.find_role(service_role) if service_role else None
    if role is None:
        raise ValidationException(f"EMR service role {service_role} is invalid")
    profile = iam.find_instance_profile(request.get("JobFlowRole") or "")
    if profile is None or not profile.roles:
        raise ValidationException(f"Invalid InstanceProfile: {request.get('JobFlowRole')}.")
    _refuse_unseen(role, profile)
    _refuse_instances(request)
    _refuse_public_access(request, region)
    check_idle_timeout(request.get("AutoTerminationPolicy"))


def _refuse_unseen(service_role: Role, profile: InstanceProfile) -> None:
    """EMR does not see yet what IAM has: first not the profile, then not the role in it."""
    left = iam.unseen(profile.roles[0].name)
    if left > 0.5:
        raise ValidationException(f"Invalid InstanceProfile: {profile.name}.")
    if left > 0:
        raise JsonRESTError("AccessDeniedException", f"Failed to authorize instance profile {profile.arn}")
    if iam.unseen(service_role.name) > 0:
        raise ValidationException(f"EMR service role {service_role.arn} is invalid")


def check_idle_timeout(policy: dict[str, Any] | None) -> None:
    """Raise ValidationException unless the policy's IdleTimeout is 60 s to 7 days, or not given."""
    if policy and policy.get("IdleTimeout", _IDLE_TIMEOUT_S.start) not in _IDLE_TIMEOUT_S:
        raise ValidationException("IdleTimeout must be between 60 and 604800 seconds.")


def _refuse_release(release: str | None, known_releases: list[str]) -> None:
    if not release:
        raise ValidationException("A release label is required.")
    recent = re.fullmatch(r"emr-7\.(\d+)\.0", release)
    if release in known_releases or (recent and int(recent.group(1)) <= _LATEST_EMR_7_MINOR):
        return
    raise ValidationException(f"The supplied release label is invalid: {release}.")


def _refuse_instances(request: Request) -> None:
    groups = request.get("Instances", {}).get("InstanceGroups", [])
    roles = [group.get("InstanceRole") for group in groups]
    if groups and roles.count("MASTER") != 1:
        raise ValidationException("A job flow must have exactly one master instance group.")
    for group in groups:
        if not group.get("InstanceCount", 0) > 0:
            raise ValidationException("An instance group must have at least one instance.")
        if not re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9]+", group.get("InstanceType", "")):
            raise ValidationException(f"Instance type '{group.get('InstanceType')}' is not supported.")


def _refuse_public_access(request: Request, region: str) -> None:
    """Block public access is on by default, allows port 22 only, and applies to clusters in public subnets.

    https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-block-public-access.html
    """
    backend = ec2_backends[ACCOUNT][region]
    if not _is_public(request, backend):
        return
    for group_id in group_ids(request):
        group = backend.get_security_group_from_id(group_id)
        for ports in public_ports(group) if group else ():
            raise ValidationException(
                f"Block public access is enabled: security group {group_id} allows inbound traffic from "
                f"0.0.0.0/0 or ::/0 on port {ports}, which is not in the list of exceptions."
            )


def _is_public(request: Request, backend: EC2Backend) -> bool:
    subnet_id = request.get("Instances", {}).get("Ec2SubnetId")
    if not subnet_id:
        return True
    try:
        return is_public(backend, backend.get_subnet(subnet_id))
    except InvalidSubnetIdError:
        return False


def group_ids(request: Request) -> list[str]:
    """The ids of all security groups in a request."""
    instances = request.get("Instances", {})
    return [
        *(instances[key] for key in _GROUP_KEYS if instances.get(key)),
        *instances.get("AdditionalMasterSecurityGroups", []),
        *instances.get("AdditionalSlaveSecurityGroups", []),
    ]


def find_doom(request: Request, region: str) -> str | None:
    """Why EMR will fail to start the cluster's instances, in EMR's words, or None if it will not fail."""
    backend = ec2_backends[ACCOUNT][region]
    subnet_id = request.get("Instances", {}).get("Ec2SubnetId")
    try:
        subnet = backend.get_subnet(subnet_id) if subnet_id else None
    except InvalidSubnetIdError:
        return f"The subnet configuration was invalid: The subnet ID '{subnet_id}' does not exist"
    for group_id in group_ids(request):
        if backend.get_security_group_from_id(group_id) is None:
            return f"The VPC/subnet configuration was invalid: The security group '{group_id}' does not exist"
    role = iam.find_role(request["ServiceRole"])
    profile = iam.find_instance_profile(request["JobFlowRole"])
    if role is None or profile is None:
        return "The service role or the instance profile does not exist."
    denied = f"Service role {role.arn} has insufficient EC2 permissions"
    if not iam.trusts(role, "elasticmapreduce.amazonaws.com"):
        return f"Service role {role.arn} cannot be assumed by elasticmapreduce.amazonaws.com"
    passing = iam.authorize(
        role.arn, "iam:PassRole", profile.roles[0].arn, {"iam:PassedToService": "ec2.amazonaws.com"}
    )
    if not passing.allowed:
        return f"{denied}: {passing.reason}"
    untagged = _untagged(request, backend, subnet) if iam.has_policy(role, _MANAGED_POLICY) else None
    return f"{denied}: {untagged} lacks the tag {'='.join(EMR_MANAGED_TAG)}" if untagged else None


def _untagged(request: Request, backend: EC2Backend, subnet: Any) -> str | None:
    """A resource that the managed v2 policy does not cover because it lacks the tag, or None."""
    key, value = EMR_MANAGED_TAG
    if not any(tag == {"Key": key, "Value": value} for tag in request.get("Tags", [])):
        return "the cluster"
    owned = [backend.get_security_group_from_id(group_id) for group_id in group_ids(request)]
    for resource in (*owned, *([subnet] if subnet else [])):
        tags = {tag["key"]: tag["value"] for tag in resource.get_tags()}
        if tags.get(key) != value:
            return resource.id
    return None
