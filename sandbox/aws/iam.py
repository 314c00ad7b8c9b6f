"""Which roles and profiles exist, and which actions a role's policies allow, as moto evaluates them.

IAM is eventually consistent: for a while (`Delays.iam_s`) other services do not see what a role was just given.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import fnmatch
import inspect
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.responses import ActionResult
from moto.iam import policy_conditions
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, InstanceProfile, Role, User, iam_backends
from moto.iam.responses import IamResponse

from sandbox.aws.context import ACCOUNT, PARTITION, Delays


@dataclass(frozen=True)
class Verdict:
    """Whether an action is allowed, and why."""

    allowed: bool
    reason: str
    decision: str = "allowed"


@dataclass
class _Lag:
    """When each role was first given each thing: given again, it has been seen. Without `delays` nothing is late."""

    delays: Delays | None = None
    given: dict[tuple[str, ...], float] = field(default_factory=dict)

    def note(self, role: str, *what: str) -> None:
        self.given.setdefault((role, *what), time.monotonic())

    def forget(self, role: str) -> None:
        self.given = {key: at for key, at in list(self.given.items()) if key[0] != role}

    def age_s(self, role: str) -> float:
        newest = max((at for (name, *_), at in list(self.given.items()) if name == role), default=-math.inf)
        return time.monotonic() - newest


_lag = _Lag()


def install(delays: Delays) -> None:
    """Patch moto: changes are seen `delays.iam_s` late, and policies are evaluated as `install_evaluation` says."""
    _lag.delays = delays
    _note("create_role", lambda request: (request["role_name"],))
    _note("put_role_policy", lambda request: (request["role_name"], "policy", request["policy_name"]))
    _note("attach_role_policy", lambda request: (request["role_name"], "policy", request["policy_arn"]))
    _note("add_role_to_instance_profile", lambda request: (request["role_name"], "profile"))
    install_evaluation()


def _note(method: str, what: Callable[[Mapping[str, Any]], tuple[str, ...]]) -> None:
    change = getattr(IAMBackend, method)
    signature = inspect.signature(change)

    def noted(self: IAMBackend, *args: Any, **kwargs: Any) -> Any:
        answer = change(self, *args, **kwargs)
        given = what(signature.bind(self, *args, **kwargs).arguments)
        if method == "create_role":
            _lag.forget(given[0])
        _lag.note(*given)
        return answer

    setattr(IAMBackend, method, noted)


def unseen(role: str) -> float:
    """How much of its lag is left of what a role was given last: 1 at first, 0 once every service sees it."""
    lag_s = _lag.delays.iam_s if _lag.delays else 0.0
    return max(0.0, 1 - _lag.age_s(role) / lag_s) if lag_s > 0 else 0.0


def install_evaluation() -> None:
    """Add to moto the condition operators StringLike and StringLikeIfExists, which it takes as met, and the policy
    simulator, which answers by the policies that the user or role has.
    """
    for operator in ("StringLike", "StringLikeIfExists"):
        policy_conditions.CONDITION_OPERATIONS[operator] = _is_like
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
    if unseen(role.name):
        return Verdict(False, f"a policy of {role.name} is too new to be seen")
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
