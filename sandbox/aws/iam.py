"""Which roles and profiles exist, and which actions a role's policies allow, as moto evaluates them."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.iam import policy_conditions
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, InstanceProfile, Role, User, iam_backends
from moto.iam.responses import IamResponse

from sandbox.aws.context import ACCOUNT, PARTITION


@dataclass(frozen=True)
class Verdict:
    """Whether an action is allowed, and why."""

    allowed: bool
    reason: str
    decision: str = "allowed"


def install() -> None:
    """Add the condition operators StringLike and StringLikeIfExists to moto, which takes them as met, and the
    policy simulator.
    """
    for operator in ("StringLike", "StringLikeIfExists"):
        policy_conditions.CONDITION_OPERATIONS[operator] = _is_like
    install_simulator()


def install_simulator() -> None:
    """Answer SimulatePrincipalPolicy by the policies that the user or role has."""
    IamResponse.simulate_principal_policy = _simulate_principal_policy


def _simulate_principal_policy(self: IamResponse) -> ActionResult:
    arn = self._get_param("PolicySourceArn")
    principal = find_role(arn) or find_user(arn)
    if principal is None:
        raise NotFoundException(f"The policy source {arn} does not exist.")
    context = {
        entry["ContextKeyName"]: entry["ContextKeyValues"][0]
        for entry in self._get_param("ContextEntries", [])
    }
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": _decide(principal, action, resource, context).decision,
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in self._get_param("ActionNames", [])
        for resource in self._get_param("ResourceArns", []) or ["*"]
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _is_like(expected: list[str] | str, actual: str) -> bool:
    patterns = [expected] if isinstance(expected, str) else expected
    return any(fnmatch.fnmatchcase(actual, pattern.replace("[", "[[]")) for pattern in patterns)


def _backend() -> IAMBackend:
    return iam_backends[ACCOUNT][PARTITION]


def find_role(name_or_arn: str) -> Role | None:
    """The role of that name or ARN, or None."""
    for role in _backend().get_roles():
        if name_or_arn in (role.arn, role.name):
            return role
    return None


def find_user(arn: str) -> User | None:
    """The user of that ARN, or None."""
    return next((user for user in _backend().users.values() if user.arn == arn), None)


def find_instance_profile(name_or_arn: str) -> InstanceProfile | None:
    """The instance profile of that name or ARN, or None."""
    for profile in _backend().get_instance_profiles():
        if name_or_arn in (profile.arn, profile.name):
            return profile
    return None


def trusts(role: Role, service: str) -> bool:
    """Whether the role's trust policy lets `service` (such as redshift.amazonaws.com) assume it."""
    for statement in _statements(role.assume_role_policy_document):
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        named = [services] if isinstance(services, str) else services
        if statement.get("Effect") == "Allow" and service in named:
            return True
    return False


def has_policy(role: Role, policy_name: str) -> bool:
    """Whether a managed policy of that name is attached to the role."""
    return any(policy.name == policy_name for policy in role.managed_policies.values())


def authorize(role_arn: str, action: str, resource: str, context: Mapping[str, str] | None = None) -> Verdict:
    """Whether the role's policies, inline and managed, allow `action` on `resource`.

    Statements are evaluated one by one, because moto takes an Allow whose condition is not met for a Deny.
    A condition whose key is not in `context` counts as met, as in moto; on AWS it would not be met.
    """
    role = find_role(role_arn)
    if role is None:
        return Verdict(False, f"role {role_arn} does not exist")
    return _decide(role, action, resource, context)


def _decide(principal: Role | User, action: str, resource: str, context: Mapping[str, str] | None) -> Verdict:
    allowed_by = None
    for policy_name, statement in _policies(principal):
        if _applies(statement, action, resource, context):
            if statement["Effect"] == "Deny":
                return Verdict(False, f"{policy_name} denies {action} on {resource}", "explicitDeny")
            allowed_by = policy_name
    if allowed_by is None:
        return Verdict(False, f"no policy of {principal.name} allows {action} on {resource}", "implicitDeny")
    return Verdict(True, f"{allowed_by} allows it")


def _applies(
    statement: dict[str, Any], action: str, resource: str, context: Mapping[str, str] | None
) -> bool:
    as_allow = IAMPolicyStatement({**statement, "Effect": "Allow"})
    result = as_allow.is_action_permitted(action, resource, None, dict(context or {}))
    return result is PermissionResult.PERMITTED


def _policies(principal: Role | User) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, document in principal.policies.items():
        for statement in _statements(document):
            yield name, statement
    for policy in principal.managed_policies.values():
        version = next(version for version in policy.versions if version.is_default)
        for statement in _statements(version.document):
            yield policy.name, statement


def _statements(document: str | dict[str, Any]) -> list[dict[str, Any]]:
    parsed = json.loads(document) if isinstance(document, str) else document
    statements = parsed.get("Statement", [])
    return [statements] if isinstance(statements, dict) else statements
