"""Whether IAM lets the principal do what docs/iam-principal-policy.json grants, as IAM's policy simulator answers.

The simulator sees the principal's own policies and its organisation's, not those of buckets, keys and endpoints:
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.checkout import find_in_checkout
from airflow_lib.errors import SettingsError
from airflow_lib.prerequisites.finding import Finding, ok, unknown, wrong
from airflow_lib.settings import MayflySettings, Settings

PERMISSIONS = "permissions"
POLICY_FILE = find_in_checkout("docs/iam-principal-policy.json")

# What stands for the rest of a name: the simulator is asked about one resource, not about a pattern.
_ANY = "doctor"
_TOPIC_STATEMENT = "NotifyWhereAskedTo"


@dataclass(frozen=True)
class Question:
    """Whether a statement's actions are allowed on its resources, with one value for each of its conditions' keys."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: Mapping[str, str]


def check_permissions(aws: Aws, settings: Settings, caller_arn: str) -> Iterator[Finding]:
    """A finding for each statement of the policy that the principal lacks, or one that all is allowed."""
    principal = principal_of(caller_arn)
    if principal is None:
        yield unknown(
            PERMISSIONS,
            f"{caller_arn} is no user or role, which is all that the policy simulator knows. Run as a role",
        )
        return
    questions = list(read_questions(settings.mayfly, caller_arn, settings.region))
    principal = _find_principal(aws, principal, questions[0])
    denied = 0
    for question in questions:
        for finding in _ask(aws, principal, question):
            denied += 1
            yield finding
    if not denied:
        actions = {action for question in questions for action in question.actions}
        yield ok(PERMISSIONS, f"{len(actions)} actions are allowed to {principal}")


def principal_of(caller_arn: str) -> str | None:
    """The ARN of the user or role that acts as `caller_arn`; a role's own path is not in it. None where neither does.

    A role in use is `arn:aws:sts::<account>:assumed-role/<role>/<session>`:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    parts = caller_arn.split(":", 5)
    if len(parts) != 6:
        return None
    _, partition, service, _, account, name = parts
    if service == "sts" and name.startswith("assumed-role/"):
        return f"arn:{partition}:iam::{account}:role/{name.split('/')[1]}"
    if service == "iam" and name.startswith(("user/", "role/")):
        return caller_arn
    return None


def read_questions(mayfly: MayflySettings, caller_arn: str, region: str) -> Iterator[Question]:
    """The policy's statements, with this deployment's names in place of its placeholders. Raises SettingsError."""
    try:
        text = POLICY_FILE.read_text()
    except OSError as error:
        raise SettingsError(
            f"{POLICY_FILE} cannot be read ({error}): run the doctor from a checkout that has its docs/."
        ) from error
    placeholders = _placeholders(mayfly, caller_arn, region)
    for statement in _fill(json.loads(text)["Statement"], placeholders):
        if mayfly.notify.sns_topic_arn is None and statement["Sid"] == _TOPIC_STATEMENT:
            continue
        resources = tuple(one.replace("*", _ANY) for one in _list(statement["Resource"]) if one != "*")
        for context in _contexts(statement.get("Condition", {})):
            yield Question(statement["Sid"], tuple(_list(statement["Action"])), resources, context)


def _placeholders(mayfly: MayflySettings, caller_arn: str, region: str) -> dict[str, str]:
    """What the policy's placeholders stand for. Where one begins another, the longer comes first."""
    _, partition, _, _, account, _ = caller_arn.split(":", 5)
    values = {"arn:aws:sns:REGION:ACCOUNT_ID:TOPIC": mayfly.notify.sns_topic_arn or ""}
    for name in ("source", "processed", "published", "state", "logs"):
        location = S3Location.parse(getattr(mayfly.s3, name))
        values[f"{name.upper()}_PREFIX/"] = location.folder_key
        values[f"{name.upper()}_BUCKET"] = location.bucket
    return {**values, "arn:aws:": f"arn:{partition}:", "ACCOUNT_ID": account, "REGION": region}


def _fill(value: Any, placeholders: Mapping[str, str]) -> Any:
    """The same JSON with the placeholders replaced in its texts, each place once."""
    if isinstance(value, dict):
        return {key: _fill(item, placeholders) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, placeholders) for item in value]
    return re.sub("|".join(map(re.escape, placeholders)), lambda found: placeholders[found.group()], value)


def _contexts(conditions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """What a request has to say to meet the conditions: once for each value that they leave to choose from."""
    values = {key: _list(value) for keys in conditions.values() for key, value in keys.items()}
    for key in conditions.get("Null", {}):
        values[key] = [_ANY]
    rounds = max((len(one) for one in values.values()), default=1)
    return [{key: one[min(at, len(one) - 1)] for key, one in values.items()} for at in range(rounds)]


def _find_principal(aws: Aws, principal: str, question: Question) -> str:
    """The principal's ARN with its path, which the ARN of a role in use lacks."""
    try:
        _simulate(aws, principal, question)
    except ClientError as error:
        if code_of(error) != "NoSuchEntity" or ":role/" not in principal:
            raise
        return str(aws.iam.get_role(RoleName=principal.rsplit("/", 1)[1])["Role"]["Arn"])
    return principal


def _ask(aws: Aws, principal: str, question: Question) -> Iterator[Finding]:
    refused = [one for one in _simulate(aws, principal, question) if one["EvalDecision"] != "allowed"]
    if not refused:
        return
    actions = sorted({one["EvalActionName"] for one in refused})
    resources = sorted({one.get("EvalResourceName", "*") for one in refused})
    missing = sorted({key for one in refused for key in one.get("MissingContextValues", ())})
    subject, what = (
        f"{PERMISSIONS} ({question.sid})",
        f"{', '.join(actions)} on {', '.join(resources)}",
    )
    if missing:
        yield unknown(subject, f"{what} depends on {', '.join(missing)}, which only a real request has")
        return
    how = (
        "is denied explicitly"
        if any(one["EvalDecision"] == "explicitDeny" for one in refused)
        else "is not allowed"
    )
    yield wrong(
        subject,
        f"{what} {how} to {principal}. Grant what the statement {question.sid} of docs/iam-principal-policy.json says.",
    )


def _simulate(aws: Aws, principal: str, question: Question) -> list[dict[str, Any]]:
    request: dict[str, Any] = {
        "PolicySourceArn": principal,
        "ActionNames": list(question.actions),
        "ContextEntries": [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in question.context.items()
        ],
    }
    if question.resources:
        request["ResourceArns"] = list(question.resources)
    pages = aws.iam.get_paginator("simulate_principal_policy").paginate(**request)
    return [dict(result) for page in pages for result in page.get("EvaluationResults", ())]


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
