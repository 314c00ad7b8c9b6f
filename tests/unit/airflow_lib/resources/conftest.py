"""An empty AWS account in the process (moto), and clients of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.iam import models

from airflow_lib.aws.clients import Aws
from airflow_lib.naming import Environment, Names, Slot, tags
from airflow_lib.resources.security_groups import SubnetFacts, probe_subnet
from airflow_lib.settings import NetworkSettings

REGION = "us-east-1"
ENVIRONMENT = Environment("dev", "immigration")
OTHER = Environment("dev", "immigration2")
TAGS = tags(ENVIRONMENT, 3, datetime(2026, 11, 21, tzinfo=UTC), 3600)


@pytest.fixture(scope="session")
def managed_policies() -> str:
    """The two of AWS's own policies that are attached here: loading all thousand takes moto seconds a test."""
    known = json.loads(models.aws_managed_policies_data)
    return json.dumps({name: known[name] for name in ("AmazonEMRServicePolicy_v2", "ReadOnlyAccess")})


@pytest.fixture(scope="session")
def clients() -> Aws:
    """Clients for every test: making one takes botocore longer than a test."""
    return Aws(
        boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")
    )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, managed_policies: str, clients: Aws) -> Iterator[Aws]:
    """Clients of an account with nothing in it but the default VPC."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    monkeypatch.setattr(models, "aws_managed_policies_data", managed_policies)
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        yield clients


@pytest.fixture
def emr_names() -> Names:
    return Names(ENVIRONMENT, Slot.EMR, 3)


@pytest.fixture
def warehouse_names() -> Names:
    return Names(ENVIRONMENT, Slot.WAREHOUSE, 3)


@pytest.fixture
def subnet(aws: Aws) -> SubnetFacts:
    return probe_subnet(aws.ec2, None)


@pytest.fixture
def network() -> NetworkSettings:
    return NetworkSettings(client_cidr="10.0.0.0/16")


def refused(code: str, message: str = "no", status: int = 400) -> ClientError:
    """What botocore raises when AWS refuses."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Action",
    )


@dataclass
class Faulty:
    """A client whose named methods fail by script, as often as told; everything else goes through."""

    client: Any
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.client, name)
        if name in ("meta", "get_paginator"):
            return real
        return self._watched(name, real)

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append(name)
            if self.faults.get(name):
                raise self.faults[name].pop(0)
            return real(**arguments)

        return call
