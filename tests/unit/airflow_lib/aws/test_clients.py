"""Clients of one region and one identity; RunJobFlow's sends each request once."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws, open_aws
from airflow_lib.settings import Settings, parse_settings

MAYFLY = {
    "deployment": "dev",
    "s3": {name: f"s3://lake/{name}" for name in ("source", "processed", "state", "logs")},
    "network": {"client_cidr": "10.0.0.0/16"},
}
RETRYING = ["emr", "ec2", "iam", "kms", "quotas", "redshift", "s3", "sns", "sts"]


@pytest.fixture(scope="module")
def clients() -> Aws:
    """Made once: it takes botocore longer than a test."""
    return Aws(boto3.Session(region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="key"))


def _settings(credentials: dict[str, str] | None) -> Settings:
    return parse_settings(
        {
            "aws_region": "eu-west-1",
            "mayfly": json.dumps(MAYFLY),
            "aws_credentials": json.dumps(credentials) if credentials else None,
        }
    )


def _identity(aws: Aws) -> tuple[str, str, str | None]:
    credentials = aws.session.get_credentials()
    assert credentials is not None
    frozen = credentials.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


@pytest.mark.parametrize("token", [None, "token"])
def test_clients_have_the_region_and_the_identity_of_the_settings(token: str | None) -> None:
    credentials = {"access_key_id": "id", "secret_access_key": "key"}
    aws = open_aws(_settings(credentials | ({"session_token": token} if token else {})))
    assert aws.session.region_name == "eu-west-1"
    assert _identity(aws) == ("id", "key", token)


def test_without_credentials_in_the_settings_boto3_finds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "own", "SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    aws = open_aws(_settings(None))
    assert aws.session.region_name == "eu-west-1"
    assert _identity(aws) == ("own", "secret", None)


@pytest.mark.parametrize("name", [*RETRYING, "emr_no_retry"])
def test_each_client_is_made_once_in_the_sessions_region_with_timeouts(clients: Aws, name: str) -> None:
    client = getattr(clients, name)
    assert client is getattr(clients, name)
    assert client.meta.region_name == ("aws-global" if name == "iam" else "eu-west-1")  # IAM has no regions
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (10, 60)


@pytest.mark.parametrize("name", RETRYING)
def test_clients_repeat_what_failed_in_passing(clients: Aws, name: str) -> None:
    retries = getattr(clients, name).meta.config.retries
    assert retries["mode"] == "standard"
    assert retries["total_max_attempts"] == 5


def test_run_job_flow_is_sent_once_even_where_aws_fails(clients: Aws) -> None:
    sent: list[str] = []

    def fail(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.url)

        class Raw:
            def stream(self, *_: Any, **__: Any) -> Any:
                return iter([b"{}"])

        return AWSResponse(request.url, 500, {}, Raw())

    client = clients.emr_no_retry
    client.meta.events.register("before-send.emr.RunJobFlow", fail)
    with pytest.raises(ClientError):
        client.run_job_flow(Name="x", Instances={})
    assert len(sent) == 1
