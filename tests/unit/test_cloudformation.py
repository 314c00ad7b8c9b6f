"""The CloudFormation template: cfn-lint accepts it, its policies are those of docs/, and it lets in nobody."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint import decode
from cfnlint.api import lint_file

from airflow_lib.settings import MayflySettings

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy" / "cloudformation" / "mayfly.yaml"

# What the placeholders of docs/ are in this stack.
PLACEHOLDERS = {
    "arn:aws:": "arn:${AWS::Partition}:",
    "role/PRINCIPAL": "role/${Principal}",
    "ACCOUNT_ID": "${AWS::AccountId}",
    "REGION": "${AWS::Region}",
    "TOPIC": "${Topic.TopicName}",
    **{f"{name}_BUCKET": "${DataBucket}" for name in ("SOURCE", "PROCESSED", "PUBLISHED", "LOGS")},
    "STATE_BUCKET": "${StateBucket}",
    **{f"{name.upper()}_PREFIX": name for name in ("source", "processed", "published", "state", "logs")},
}


def plain(node: Any) -> Any:
    """The template's own lists, dicts and texts; `Fn::Sub` of a text is the text."""
    if isinstance(node, dict):
        return (
            plain(node["Fn::Sub"])
            if set(node) == {"Fn::Sub"}
            else {str(k): plain(v) for k, v in node.items()}
        )
    if isinstance(node, list):
        return [plain(item) for item in node]
    return str(node) if isinstance(node, str) else node


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    read, problems = decode.decode(str(TEMPLATE))
    assert not problems
    found: dict[str, Any] = plain(read)
    return found


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in template["Resources"].items() if one["Type"] == kind}


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By Sid; single values as lists, in no order and each once, as IAM reads them."""

    def normal(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: normal(item) for key, item in value.items()}
        return sorted(set(value if isinstance(value, list) else [value]))

    return {one["Sid"]: normal({k: v for k, v in one.items() if k != "Sid"}) for one in policy["Statement"]}


def of_docs(name: str) -> dict[str, Any]:
    text = (ROOT / "docs" / f"{name}.json").read_text()
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    found: dict[str, Any] = json.loads(text)
    return found


def test_cfn_lint_finds_nothing_and_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("cfn-lint opens a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    found = lint_file(TEMPLATE)
    assert [f"{one.rule.id}: {one.message}, line {one.linenumber}" for one in found] == []


def test_cfn_lint_would_find_a_wrong_property(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TEMPLATE.read_text().replace("HttpTokens: required", "HttpTokens: always"))
    assert [one.rule.id for one in lint_file(wrong)] == ["E3030"]


@pytest.mark.parametrize(
    ("resource", "name"), [("PrincipalPolicy", "iam-principal-policy"), ("DoctorPolicy", "iam-doctor-policy")]
)
def test_the_principal_has_the_policies_of_the_documentation_statement_by_statement(
    template: dict[str, Any], resource: str, name: str
) -> None:
    policy = template["Resources"][resource]["Properties"]["PolicyDocument"]
    expected, found = statements(of_docs(name)), statements(policy)
    different = [one for one in of_docs(name)["Statement"] if found.get(one["Sid"]) != expected[one["Sid"]]]
    assert not different, "write into the template:\n" + yaml.safe_dump(different, sort_keys=False)
    assert set(found) == set(expected)


def test_the_principal_has_no_other_rights_than_to_be_reached_by_session_manager(
    template: dict[str, Any],
) -> None:
    policies = of_type(template, "AWS::IAM::RolePolicy")
    assert set(policies) == {"PrincipalPolicy", "DoctorPolicy", "SessionPolicy"}
    (only,) = policies["SessionPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert all(re.match(r"ssmmessages:|ssm:UpdateInstanceInformation$", action) for action in only["Action"])
    (role,) = of_type(template, "AWS::IAM::Role").values()
    assert set(role["Properties"]) == {"AssumeRolePolicyDocument"}
    assert not of_type(template, "AWS::IAM::ManagedPolicy")


def test_the_policies_fit_into_a_role_with_the_longest_names(template: dict[str, Any]) -> None:
    longest = {
        "${AWS::Partition}": "aws",
        "${AWS::Region}": "ap-southeast-2",
        "${AWS::AccountId}": "1" * 12,
        "${DataBucket}": "b" * 63,
        "${StateBucket}": "b" * 63,
        "${Topic.TopicName}": "airflow-" + "d" * 12,
        "${Principal}": "r" * 64,
    }
    documents = [
        one["Properties"]["PolicyDocument"] for one in of_type(template, "AWS::IAM::RolePolicy").values()
    ]
    text = json.dumps(documents, separators=(",", ":"))
    for name, value in longest.items():
        text = text.replace(name, value)
    assert "${" not in text
    assert len(text) < 10_240


def test_nobody_may_connect_to_a_member_of_the_clients_group(template: dict[str, Any]) -> None:
    (group,) = of_type(template, "AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group["Properties"]
    assert not of_type(template, "AWS::EC2::SecurityGroupIngress")
    anywhere = [rule for rule in group["Properties"]["SecurityGroupEgress"] if rule["CidrIp"] == "0.0.0.0/0"]
    assert sorted(rule["ToPort"] for rule in anywhere) == [80, 443]
    assert all(rule["FromPort"] == rule["ToPort"] for rule in group["Properties"]["SecurityGroupEgress"])


def test_the_instance_is_in_the_private_subnet_and_asks_for_tokens(template: dict[str, Any]) -> None:
    (host,) = (one["Properties"] for one in of_type(template, "AWS::EC2::Instance").values())
    assert host["SubnetId"] == {"Ref": "PrivateSubnet"}
    assert host["MetadataOptions"]["HttpTokens"] == "required"
    assert "AssociatePublicIpAddress" not in host
    assert "KeyName" not in host
    for subnet in of_type(template, "AWS::EC2::Subnet").values():
        assert "MapPublicIpOnLaunch" not in subnet["Properties"]
    routes = of_type(template, "AWS::EC2::Route").values()
    private = [
        one["Properties"] for one in routes if one["Properties"]["RouteTableId"] == {"Ref": "PrivateRoutes"}
    ]
    assert [set(route) & {"GatewayId", "NatGatewayId"} for route in private] == [{"NatGatewayId"}]


def test_the_subnet_has_the_tag_that_emr_needs(template: dict[str, Any]) -> None:
    tags = template["Resources"]["PrivateSubnet"]["Properties"]["Tags"]
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in tags


def test_every_bucket_is_kept_versioned_encrypted_and_closed_to_the_public(template: dict[str, Any]) -> None:
    buckets = of_type(template, "AWS::S3::Bucket")
    assert len(buckets) == 2
    refused = {
        one["Properties"]["Bucket"]["Ref"] for one in of_type(template, "AWS::S3::BucketPolicy").values()
    }
    assert refused == set(buckets)
    for bucket in buckets.values():
        properties = bucket["Properties"]
        assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_nothing_of_the_state_expires_but_old_versions_beyond_a_hundred(template: dict[str, Any]) -> None:
    (rule,) = template["Resources"]["StateBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert "ExpirationInDays" not in rule
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90, "NewerNoncurrentVersions": 100}


def test_its_output_is_the_variable_that_mayfly_reads(template: dict[str, Any]) -> None:
    text = template["Outputs"]["Mayfly"]["Value"]
    values = {
        "Deployment": "prod",
        "DataBucket": "mayfly-prod-data-123456789012-us-east-1",
        "StateBucket": "mayfly-prod-state-123456789012-us-east-1",
        "PrivateSubnet": "subnet-0123456789abcdef0",
        "ClientGroup": "sg-0123456789abcdef0",
        "Topic": "arn:aws:sns:us-east-1:123456789012:airflow-prod",
    }
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    settings = MayflySettings.model_validate(json.loads(text))
    assert settings.s3.state.endswith("/state")
    assert settings.s3.logs.endswith("/logs")
    lifecycle = template["Resources"]["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["Prefix"] for rule in lifecycle if "ExpirationInDays" in rule] == ["logs/"]


def test_the_instance_installs_the_packages_of_the_document(template: dict[str, Any]) -> None:
    script = template["Resources"]["Host"]["Properties"]["UserData"]["Fn::Base64"]
    installed = {
        word for line in script.splitlines() if "apt-get install -y" in line for word in line.split()[3:]
    }
    document = (ROOT / "setup_backend.md").read_text()
    asked = re.findall(r"^apt-get install -y ([^#\n]+)#", document, re.MULTILINE)
    assert {word for line in asked for word in line.split()} <= installed
