"""Which principal is asked about, and what: the policy's statements with the deployment's own names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_lib.errors import SettingsError
from airflow_lib.prerequisites import permissions
from airflow_lib.prerequisites.permissions import check_permissions, principal_of, read_questions

from .account import ACCOUNT, REGION, ROLE, TOPIC, Account, settings_with

CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/worker"


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        (CALLER, f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
        ("arn:aws-cn:sts::1:assumed-role/r/s", "arn:aws-cn:iam::1:role/r"),
        ("arn:aws:iam::1:user/path/airflow", "arn:aws:iam::1:user/path/airflow"),
        ("arn:aws:iam::1:root", None),
        ("arn:aws:sts::1:federated-user/x", None),
        ("nonsense", None),
    ],
)
def test_the_principal_is_the_user_or_role_that_acts(caller: str, principal: str | None) -> None:
    assert principal_of(caller) == principal


def test_who_is_neither_user_nor_role_is_unknown(account: Account) -> None:
    (found,) = check_permissions(account.aws, account.settings, f"arn:aws:iam::{ACCOUNT}:root")
    assert found.standing == "unknown"


def test_a_role_with_a_path_is_found_by_its_name(account: Account) -> None:
    """The ARN of a role in use lacks the path: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    account.aws.iam.create_role(RoleName="deep", Path="/teams/data/", AssumeRolePolicyDocument=policy)
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/deep/worker"
    found = list(check_permissions(account.aws, account.settings, caller))
    assert {one.standing for one in found} == {"wrong"}
    assert all(f"role/teams/data/deep" in one.message for one in found)  # noqa: F541


def test_the_deployments_names_stand_in_the_questions() -> None:
    mayfly = settings_with(
        s3={
            "source": "s3://raw",
            "processed": "s3://REGION/ACCOUNT_ID".replace("REGION", "lake"),
            "published": "s3://shop/answers",
            "state": "s3://ops/state",
            "logs": "s3://ops/logs",
        }
    ).mayfly
    questions = {
        one.sid: one for one in read_questions(mayfly, CALLER.replace(":aws:", ":aws-cn:"), "cn-north-1")
    }
    assert questions["ReadTheSource"].resources == ("arn:aws-cn:s3:::raw/doctor",)
    assert questions["KeepCodeOutputStateAndReports"].resources == (
        "arn:aws-cn:s3:::lake/ACCOUNT_ID/doctor",
        "arn:aws-cn:s3:::ops/state/doctor",
        "arn:aws-cn:s3:::ops/logs/doctor",
    )
    assert questions["RemoveAnswersWithoutRows"].resources == ("arn:aws-cn:s3:::shop/answers/doctor",)
    assert questions["ReadTheNetwork"].resources == ()
    assert questions["NotifyWhereAskedTo"].resources == (TOPIC,)
    assert questions["MakeTaggedEmrClusters"].context == {
        "elasticmapreduce:RequestTag/mayfly:environment": "doctor"
    }
    assert "*" not in str(questions)


def test_each_value_that_a_condition_allows_is_asked_about() -> None:
    asked = [
        one.context["iam:PassedToService"]
        for one in read_questions(settings_with().mayfly, CALLER, REGION)
        if one.sid == "GiveOurRolesToTheServicesTheyAreFor"
    ]
    assert asked == ["ec2.amazonaws.com", "elasticmapreduce.amazonaws.com", "redshift.amazonaws.com"]


def test_without_a_topic_no_right_to_publish_is_asked_for() -> None:
    mayfly = settings_with(notify={}).mayfly
    assert "NotifyWhereAskedTo" not in {one.sid for one in read_questions(mayfly, CALLER, REGION)}


def test_what_only_a_real_request_shows_is_unknown(account: Account) -> None:
    result = {
        "EvalActionName": "s3:GetObject",
        "EvalResourceName": "arn:aws:s3:::lake/x",
        "EvalDecision": "implicitDeny",
        "MissingContextValues": ["aws:SourceVpce"],
    }
    account.answers["iam.SimulatePrincipalPolicy"] = {"EvaluationResults": [result], "IsTruncated": False}
    with account.watched():
        found = list(check_permissions(account.aws, account.settings, CALLER))
    assert {one.standing for one in found} == {"unknown"}
    assert "aws:SourceVpce" in found[0].message


def test_a_checkout_without_its_docs_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(permissions, "POLICY_FILE", tmp_path / "none.json")
    with pytest.raises(SettingsError, match=r"none\.json.*checkout"):
        list(read_questions(settings_with().mayfly, CALLER, REGION))
