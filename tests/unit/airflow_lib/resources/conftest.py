"""An empty AWS account in the process (moto), clients of it, and what a generation of either slot is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.iam import models

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import NotReady
from airflow_lib.naming import Environment, Names, Slot, tags
from airflow_lib.pipeline import Hardware
from airflow_lib.resources import emr_cluster, redshift_cluster
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.owned import Owned
from airflow_lib.resources.registry import REGISTRY
from airflow_lib.resources.subnet import SubnetFacts, probe_subnet
from airflow_lib.settings import MayflySettings, parse_settings

REGION = "us-east-1"
ENVIRONMENT = Environment("dev", "immigration")
OTHER = Environment("dev", "immigration2")
# moto dates what it makes by the host's clock: by NOW every role of a test is young, by LATER none is.
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)


def tags_of(generation: int, environment: Environment = ENVIRONMENT) -> dict[str, str]:
    """The tags of a generation that may live for an hour from midnight."""
    return tags(environment, generation, datetime(2026, 11, 21, tzinfo=UTC), 3600)


TAGS = tags_of(3)


def settings_with(**changes: Any) -> MayflySettings:
    """The Variable `mayfly`, with these keys of it changed."""
    variable = {
        "deployment": "dev",
        "s3": {
            "source": "s3://lake/raw",
            "processed": "s3://lake/clean",
            "published": "s3://shop/answers",
            "state": "s3://ops/state",
            "logs": "s3://ops/logs",
        },
        "network": {"client_cidr": "10.0.0.0/16"},
        "emr": {"idle_timeout_s": 900},
    } | changes
    return parse_settings({"aws_region": REGION, "mayfly": json.dumps(variable)}).mayfly


def spec_of(slot: Slot, subnet: SubnetFacts, generation: int = 3, **changes: Any) -> GenerationSpec:
    """What a generation is made from, with these fields changed."""
    spec = GenerationSpec(
        names=Names(ENVIRONMENT, slot, generation),
        tags=tags_of(generation),
        hardware=Hardware(core_type="m6g.2xlarge", core_count=3),
        settings=settings_with(),
        subnet=subnet,
        source=S3Location.parse("s3://lake/raw/immigration"),
        processed=S3Location.parse("s3://lake/clean/immigration"),
        published=S3Location.parse("s3://shop/answers/immigration"),
        logs=S3Location.parse("s3://ops/logs/immigration"),
        configurations=[{"Classification": "livy-conf", "Properties": {"a": "b"}}],
    )
    return replace(spec, **changes)


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
def subnet(aws: Aws) -> SubnetFacts:
    return probe_subnet(aws.ec2, None)


@pytest.fixture
def emr_spec(subnet: SubnetFacts) -> GenerationSpec:
    return spec_of(Slot.EMR, subnet)


@pytest.fixture
def warehouse_spec(subnet: SubnetFacts) -> GenerationSpec:
    return spec_of(Slot.WAREHOUSE, subnet)


@pytest.fixture
def emr_names() -> Names:
    return Names(ENVIRONMENT, Slot.EMR, 3)


@pytest.fixture
def warehouse_names() -> Names:
    return Names(ENVIRONMENT, Slot.WAREHOUSE, 3)


def ensure_all(aws: Aws, spec: GenerationSpec) -> None:
    """Make all that a generation's cluster needs, as a run does: last in the registry, first to be made."""
    for kind in reversed(REGISTRY):
        if kind.ensure is not None:
            kind.ensure(aws, spec)


def ensure_whole(aws: Aws, spec: GenerationSpec) -> None:
    """Make a generation, its cluster included."""
    ensure_all(aws, spec)
    if spec.names.slot is Slot.EMR:
        emr_cluster.request_cluster(aws, spec, NOW)
    else:
        redshift_cluster.ensure_cluster(aws, spec, NOW)


def delete_whole(aws: Aws, names: Names, *, keep_data: bool) -> list[str]:
    """Delete a generation in the registry's order; returns the titles of the kinds that had to be asked again.

    In moto a cluster is gone as soon as its removal is asked for, so the second call returns.
    """
    asked_again = []
    for kind in REGISTRY:
        if kind.delete is None:
            continue
        try:
            kind.delete(aws, names, keep_data=keep_data)
        except NotReady:
            asked_again.append(kind.title)
            kind.delete(aws, names, keep_data=keep_data)
    return asked_again


def list_all(aws: Aws, environment: Environment = ENVIRONMENT) -> dict[str, list[Owned]]:
    """What every kind lists as owned, by the kind's title."""
    return {kind.title: kind.list_owned(aws, environment) for kind in REGISTRY}


def with_clients(aws: Aws, **replaced: Any) -> Aws:
    """The same clients but for the named ones."""
    changed = Aws(aws.session)
    changed._made.update({**aws._made, **replaced})
    return changed


def refused(code: str, message: str = "no", status: int = 400) -> ClientError:
    """What botocore raises when AWS refuses."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Action",
    )


@dataclass
class Faulty:
    """A client whose named methods raise the given errors, one a call; everything else goes through.

    `calls` are the names of the methods called; `requests` are the calls with their arguments.
    """

    client: Any
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.client, name)
        if name in ("meta", "get_paginator"):
            return real
        return self._recorded(name, real)

    def _recorded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append(name)
            self.requests.append((name, arguments))
            if self.faults.get(name):
                raise self.faults[name].pop(0)
            return real(**arguments)

        return call
