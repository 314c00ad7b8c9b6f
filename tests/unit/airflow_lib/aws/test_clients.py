"""Clients of one region and one identity; RunJobFlow's sends each request once."""

from __future__ import annotations

import json
import threading
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws, AwsCache, ClientOptions, open_aws
from airflow_lib.settings import Settings, parse_settings

MAYFLY = {
    "deployment": "dev",
    "s3": {name: f"s3://lake/{name}" for name in ("source", "processed", "published", "state", "logs")},
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


class Session:
    """Says how its clients were asked for; `inside` is how many threads are in it at once, at most."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.inside = self._now = 0

    def client(self, service: str, **arguments: Any) -> object:
        self._now += 1
        self.inside = max(self.inside, self._now)
        threading.Event().wait(0.001)  # lets another thread in, if one may
        self.asked.append((service, arguments))
        self._now -= 1
        return object()


def _with_options(options: ClientOptions) -> tuple[Aws, Session]:
    session = Session()
    return Aws(session, options=options), session  # type: ignore[arg-type]


def test_each_service_has_its_own_address_certificates_and_configuration() -> None:
    given = Config(proxies={"https": "proxy:3128"}, retries={"max_attempts": 99}, read_timeout=1)
    aws, session = _with_options(ClientOptions({"emr": "https://emr.example"}, "/etc/ca.pem", given))
    assert len({aws.emr, aws.emr_no_retry, aws.s3}) == 3
    (emr, once, s3) = [arguments for _, arguments in session.asked]
    assert [one.get("endpoint_url") for one in (emr, once, s3)] == ["https://emr.example"] * 2 + [None]
    assert {one["verify"] for one in (emr, once, s3)} == {"/etc/ca.pem"}
    assert {one["config"].proxies["https"] for one in (emr, once, s3)} == {"proxy:3128"}


@pytest.mark.parametrize(("name", "attempts"), [*((name, 5) for name in RETRYING), ("emr_no_retry", 1)])
def test_no_configuration_changes_how_often_a_request_is_sent_and_how_long_it_may_take(
    name: str, attempts: int
) -> None:
    given = Config(retries={"mode": "legacy", "max_attempts": 99}, read_timeout=1, connect_timeout=1)
    aws, session = _with_options(ClientOptions(config=given))
    assert getattr(aws, name)
    ((_, arguments),) = session.asked
    config = arguments["config"]
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}
    assert (config.connect_timeout, config.read_timeout) == (10, 60)


def test_without_options_boto3_decides() -> None:
    aws, session = _with_options(ClientOptions())
    assert aws.s3
    ((_, arguments),) = session.asked
    assert set(arguments) == {"config"}


def test_threads_make_each_client_once_and_one_after_the_other() -> None:
    aws, session = _with_options(ClientOptions())
    got: list[tuple[object, ...]] = []
    threads = [
        threading.Thread(target=lambda: got.append((aws.s3, aws.emr, aws.ec2, aws.iam))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert sorted(service for service, _ in session.asked) == ["ec2", "emr", "iam", "s3"]
    assert session.inside == 1


def test_no_secret_is_in_what_is_printed_of_clients() -> None:
    credentials = {"access_key_id": "id", "secret_access_key": "geheim", "session_token": "auch-geheim"}
    aws = open_aws(_settings(credentials))
    assert "geheim" not in repr(aws)
    assert "Variable aws_credentials" in aws.origin


def _aws() -> Aws:
    return Aws(None)  # type: ignore[arg-type]


def test_clients_are_made_once_for_each_key() -> None:
    cache = AwsCache()
    first = cache.get("a", _aws)
    assert cache.get("a", _aws) is first
    assert cache.get("b", _aws) is not first


def test_only_the_clients_that_were_used_last_are_kept() -> None:
    cache = AwsCache(size=2)
    first, second = cache.get("a", _aws), cache.get("b", _aws)
    cache.get("a", _aws)
    cache.get("c", _aws)
    assert cache.get("a", _aws) is first
    assert cache.get("b", _aws) is not second


def test_clients_that_were_refused_are_not_given_again_and_newer_ones_are_not_forgotten_with_them() -> None:
    cache = AwsCache()
    refused = cache.get("a", _aws)
    cache.forget(refused)
    renewed = cache.get("a", _aws)
    assert renewed is not refused
    cache.forget(refused)  # by another trigger, later
    assert cache.get("a", _aws) is renewed


def test_clients_that_cannot_be_made_are_not_kept() -> None:
    def fail() -> Aws:
        raise ValueError("no role")

    cache = AwsCache()
    with pytest.raises(ValueError, match="no role"):
        cache.get("a", fail)
    assert cache.get("a", _aws)
