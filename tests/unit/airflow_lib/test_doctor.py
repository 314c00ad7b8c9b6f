"""The doctor names each planted fault with what to do, says what it cannot know, and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from botocore.exceptions import EndpointConnectionError

from airflow_lib import doctor
from airflow_lib.errors import SettingsError
from airflow_lib.janitor import SETTINGS_FILE
from tests.unit.airflow_lib.prerequisites.account import (
    DOCS,
    READS,
    REGION,
    Account,
    open_account,
    settings_with,
)
from tests.unit.airflow_lib.prerequisites.faults import FAULTS, GROUP, key_is, lost_snapshot, no_tag, private


@pytest.fixture
def account() -> Iterator[Account]:
    with open_account() as account:
        yield account


def test_there_are_faults_enough() -> None:
    assert len(FAULTS) >= 30


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_what_to_do_and_nothing_is_changed(
    account: Account, fault: str
) -> None:
    plant, told = FAULTS[fault]
    plant(account)
    found = account.diagnose()
    wrong = [str(one) for one in found if one.standing == "wrong"]
    assert any(re.match(told, line) for line in wrong), wrong
    assert changes(account) == []


def changes(account: Account) -> list[str]:
    """The operations called that are no reads."""
    assert account.called
    return [one for one in account.called if not one.split(".")[1].startswith(READS)]


def test_where_all_is_as_it_must_be_nothing_is_wrong_or_unknown(account: Account) -> None:
    assert {one.standing for one in account.diagnose()} == {"ok"}
    assert changes(account) == []


ASKED = [
    "iam.SimulatePrincipalPolicy",
    "s3.HeadBucket",
    "s3.GetBucketVersioning",
    "s3.GetBucketEncryption",
    "ec2.DescribeSubnets",
    "ec2.DescribeVpcAttribute",
    "ec2.DescribeRouteTables",
    "ec2.DescribeSecurityGroups",
    "ec2.DescribeInstanceTypeOfferings",
    "ec2.DescribeInstanceTypes",
    "redshift.DescribeOrderableClusterOptions",
    "redshift.DescribeClusters",
    "emr.DescribeReleaseLabel",
    "emr.GetBlockPublicAccessConfiguration",
    "iam.GetPolicy",
    "iam.GetRole",
    "iam.GetAccountSummary",
    "service-quotas.GetServiceQuota",
    "service-quotas.ListServiceQuotas",
    "sns.GetTopicAttributes",
]


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("Throttling", 400), ("InternalError", 500)]
)
@pytest.mark.parametrize("operation", ASKED)
def test_what_aws_does_not_answer_is_unknown_and_not_wrong(
    account: Account, operation: str, code: str, status: int
) -> None:
    account.refuse(operation, code, "no", status)
    found = account.diagnose()
    assert [one for one in found if one.standing == "wrong"] == []
    why = [one.message for one in found if one.standing == "unknown"]
    assert why
    assert all(f"AWS answered {code} to {operation.split('.')[1]}" in one for one in why)
    assert all(("Grant this right" in one) == (code == "AccessDenied") for one in why)


def test_the_doctors_calls_are_those_that_the_two_policies_grant(account: Account) -> None:
    account.settings = settings_with(
        network={"client_security_group_id": GROUP}, notify={"sns_topic_arn": None}
    )
    key_is("Enabled")(account)
    private(account)
    lost_snapshot(account)
    account.diagnose()
    account.settings = settings_with()
    account.diagnose()
    called = {iam_action(one) for one in account.called}
    granted = actions_of("iam-doctor-policy")
    assert called - granted - actions_of("iam-principal-policy") == set()
    assert granted - called == set()


def iam_action(operation: str) -> str:
    """The right that an operation takes: https://docs.aws.amazon.com/service-authorization/latest/reference/"""
    service, name = operation.split(".")
    prefix = {"emr": "elasticmapreduce", "service-quotas": "servicequotas"}.get(service, service)
    known = {
        "HeadBucket": "ListBucket",
        "ListObjectsV2": "ListBucket",
        "GetBucketEncryption": "GetEncryptionConfiguration",
    }
    return f"{prefix}:{known.get(name, name)}"


def actions_of(name: str) -> set[str]:
    statements = json.loads((DOCS / f"{name}.json").read_text())["Statement"]
    return {
        action
        for one in statements
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }


@pytest.fixture
def settings_file(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of the account, where the command finds them; it reaches the account."""
    path = tmp_path / "settings.json"
    path.write_text(
        json.dumps({"aws_region": REGION, "mayfly": account.settings.mayfly.model_dump(exclude_unset=True)})
    )
    monkeypatch.setenv(SETTINGS_FILE, str(path))
    monkeypatch.setattr(doctor, "open_aws", lambda _: account.aws)
    return path


@pytest.mark.usefixtures("settings_file")
def test_the_command_prints_a_line_for_each_finding_and_ends_with_0(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    with account.watched():
        assert doctor.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok       ") for line in lines)
    assert len(lines) > 25


@pytest.mark.usefixtures("settings_file")
def test_the_command_ends_with_1_where_something_is_wrong_and_with_0_where_it_is_unknown(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.refuse("iam.GetAccountSummary", "AccessDenied", "not\x1b[2J\nauthorised")
    with account.watched():
        assert doctor.main([]) == 0
    said = capsys.readouterr().out
    assert (
        "unknown  quotas of IAM: AWS answered AccessDenied to GetAccountSummary: not [2J authorised" in said
    )
    no_tag(account)
    with account.watched():
        assert doctor.main([]) == 1
    assert "wrong    tag of subnet-" in capsys.readouterr().out


def test_the_command_ends_with_2_where_it_cannot_look(
    settings_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file.write_text("{")
    assert doctor.main([]) == 2
    assert "cannot be read" in capsys.readouterr().err
    monkeypatch.delenv(SETTINGS_FILE)
    assert doctor.main([]) == 2
    assert "is not set" in capsys.readouterr().err


def test_all_overrides_that_cannot_be_used_are_told(account: Account) -> None:
    account.settings = settings_with(
        pipelines={"birds": {"sourec": "s3://b/x"}, "flights": {"emr": {"core_cuont": 3}}}
    )
    with pytest.raises(
        SettingsError, match=r"(?s)pipelines\.birds\.sourec.*pipelines\.flights\.emr\.core_cuont"
    ):
        account.diagnose()


def test_the_doctor_asks_with_a_connection_that_fails_and_says_so(account: Account) -> None:
    error = EndpointConnectionError(endpoint_url="https://sts.example")
    with patch.object(account.aws.sts, "get_caller_identity", side_effect=error):
        (wrong, clock) = account.diagnose()
    assert "aws_region: AWS cannot be reached" in wrong.message
    assert (wrong.standing, clock.standing) == ("wrong", "unknown")
