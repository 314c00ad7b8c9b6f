"""An account in which a deployment would work, the doctor's look at it, and a place to plant faults.

AWS is moto with what it lacks added (sandbox/aws/offers.py); the principal is a role in use that has docs/' policies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from moto.iam import models as iam_models

from airflow_lib.aws.clients import Aws
from airflow_lib.doctor import diagnose
from airflow_lib.prerequisites.finding import Finding
from airflow_lib.settings import Settings, parse_settings
from sandbox.aws import iam, offers
from sandbox.aws.ec2 import prepare_default_network

REGION, ACCOUNT, BUCKET = "us-east-1", "123456789012", "lake"
ROLE = "mayfly-airflow"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:mayfly"
DOCS = Path(__file__).parents[4] / "docs"
CLIENTS = ("emr", "ec2", "iam", "kms", "quotas", "redshift", "s3", "sns", "sts")
# What changes nothing; simulate is IAM's.
READS = ("Describe", "Get", "Head", "List", "Simulate")


@cache
def _session() -> boto3.Session:
    return boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


@cache
def clients() -> Aws:
    """Clients for every test: making one takes botocore longer than a test."""
    return Aws(_session())


@cache
def _managed_policies() -> str:
    known = json.loads(iam_models.aws_managed_policies_data)
    return json.dumps({"AmazonEMRServicePolicy_v2": known["AmazonEMRServicePolicy_v2"]})


def policy(name: str) -> str:
    """The policy of docs/, with its placeholders replaced for the account."""
    text = (DOCS / f"{name}.json").read_text()
    values = {"PRINCIPAL": ROLE, "ACCOUNT_ID": ACCOUNT, "REGION": REGION, "TOPIC": "mayfly"}
    for key in ("SOURCE", "PROCESSED", "PUBLISHED", "STATE", "LOGS"):
        values |= {f"{key}_BUCKET": BUCKET, f"{key}_PREFIX": key.lower()}
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def settings_with(**changes: Any) -> Settings:
    """The Variables of the account's deployment, with these keys of `mayfly` changed."""
    mayfly = {
        "deployment": "dev",
        "s3": {
            name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "published", "state", "logs")
        },
        "network": {"client_cidr": "10.0.0.0/16"},
        "notify": {"sns_topic_arn": TOPIC},
    } | changes
    return parse_settings({"aws_region": REGION, "mayfly": json.dumps(mayfly)})


@dataclass
class Account:
    """`settings` and `now` may be changed; `answers` and `refusals` are given in AWS's place, by `service.Operation`.

    `called` is every operation that the doctor made.
    """

    aws: Aws
    settings: Settings
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: dict[str, tuple[str, str, int, dict[str, str]]] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)
    now: datetime | None = None

    def refuse(
        self,
        operation: str,
        code: str,
        message: str = "no",
        status: int = 400,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.refusals[operation] = (code, message, status, headers or {})

    def diagnose(self) -> list[Finding]:
        """What the doctor finds."""
        with self.watched():
            return list(diagnose(self.settings, self.aws, self.now or datetime.now(UTC)))

    def lines(self) -> list[str]:
        return [f"{one.standing} {one}" for one in self.diagnose()]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note each call, and answer it as planted."""
        for name in CLIENTS:
            getattr(self.aws, name).meta.events.register_first("before-call", self._meet)
        try:
            yield
        finally:
            for name in CLIENTS:
                getattr(self.aws, name).meta.events.unregister("before-call", self._meet)

    def _meet(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        operation = f"{model.service_model.service_name}.{model.name}"
        self.called.append(operation)
        if operation in self.refusals:
            code, message, status, headers = self.refusals[operation]
            parsed = {"Error": {"Code": code, "Message": message}}
            return _answer(status, headers, parsed)
        if operation in self.answers:
            return _answer(200, {}, self.answers[operation])
        return None


def _answer(status: int, headers: dict[str, str], parsed: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    meta = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}
    return AWSResponse("https://aws.test", status, headers, None), {**parsed, **meta}  # type: ignore[arg-type]


@contextmanager
def open_account() -> Iterator[Account]:
    """An account in which everything is as it must be."""
    with (
        patch.dict("os.environ", MOTO_EC2_LOAD_DEFAULT_AMIS="false"),
        patch.object(iam_models, "aws_managed_policies_data", _managed_policies()),
        mock_aws(config={"iam": {"load_aws_managed_policies": True}}),
    ):
        offers.install()
        iam.install_evaluation()
        aws = clients()
        prepare_default_network(REGION)
        _fill(aws)
        account = Account(aws, settings_with())
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/worker"
        date = {"date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        account.answers["sts.GetCallerIdentity"] = {"Arn": arn, "Account": ACCOUNT, "UserId": "x"}
        with patch(f"{__name__}._answer", _dated(date)):
            yield account


def _dated(date: dict[str, str]) -> Any:
    plain = _answer

    def answer(status: int, headers: dict[str, str], parsed: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return plain(status, {**date, **headers}, parsed)

    return answer


def _fill(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket=BUCKET)
    aws.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    aws.s3.put_object(Bucket=BUCKET, Key="source/immigration/airports.csv", Body=b"x")
    aws.sns.create_topic(Name="mayfly")
    aws.iam.create_role(
        RoleName=ROLE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
    )
    for name in ("iam-principal-policy", "iam-doctor-policy"):
        aws.iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=policy(name))
