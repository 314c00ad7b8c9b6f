"""boto3 clients for one region and one identity, and the few of them that a process keeps.

Addresses are boto3's own, but for those that whoever made the clients was given: nothing here names an endpoint.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from airflow_lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_emr import EMRClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_redshift import RedshiftClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sts import STSClient

READ_TIMEOUT_S = 60
_TIMEOUTS_S = {"connect_timeout": 10, "read_timeout": READ_TIMEOUT_S}

# Standard mode retries throttling, time-outs and 5xx with jittered back-off:
# https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
_RETRYING = Config(retries={"mode": "standard", "total_max_attempts": 5}, **_TIMEOUTS_S)  # type: ignore[arg-type]

# RunJobFlow has no client token: a repeat after a lost response would be a second cluster.
_NO_RETRY = Config(retries={"mode": "standard", "total_max_attempts": 1}, **_TIMEOUTS_S)  # type: ignore[arg-type]

VARIABLE_ORIGIN = "the Airflow Variable aws_credentials"
CHAIN_ORIGIN = "boto3's own chain (environment, ~/.aws, the host's role)"


@dataclass(frozen=True)
class ClientOptions:
    """How clients differ from boto3's own: addresses by boto3's name of the service, certificates, configuration.

    `verify` is boto3's: False, or the path of a bundle of certificates. `config` yields to ours in retries and
    time-outs, on which RunJobFlow's being sent once depends.
    """

    endpoint_urls: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str | None = None
    config: Config | None = None

    def arguments(self, service: str, ours: Config) -> dict[str, Any]:
        """What `Session.client` is to be given for the service."""
        given: dict[str, Any] = {"config": self.config.merge(ours) if self.config else ours}
        if service in self.endpoint_urls:
            given["endpoint_url"] = self.endpoint_urls[service]
        if self.verify is not None:
            given["verify"] = self.verify
        return given


@dataclass(frozen=True)
class Aws:
    """Clients made on first use, for as many threads as like: clients are thread-safe, and made under a lock, because
    sessions are not. `origin` says where the credentials come from, for people.

    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/session.html#multithreading-or-multiprocessing-with-sessions
    """

    session: boto3.Session
    origin: str = CHAIN_ORIGIN
    options: ClientOptions = field(default_factory=ClientOptions, repr=False)
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def emr(self) -> EMRClient:
        client: EMRClient = self._client("emr")
        return client

    @property
    def emr_no_retry(self) -> EMRClient:
        """For RunJobFlow alone."""
        client: EMRClient = self._client("emr", _NO_RETRY, name="emr_no_retry")
        return client

    @property
    def ec2(self) -> EC2Client:
        client: EC2Client = self._client("ec2")
        return client

    @property
    def iam(self) -> IAMClient:
        client: IAMClient = self._client("iam")
        return client

    @property
    def redshift(self) -> RedshiftClient:
        client: RedshiftClient = self._client("redshift")
        return client

    @property
    def kms(self) -> Any:
        """Untyped: only the doctor describes a key."""
        return self._client("kms")

    @property
    def quotas(self) -> Any:
        """Service Quotas. Untyped: only the doctor reads it."""
        return self._client("service-quotas")

    @property
    def s3(self) -> S3Client:
        client: S3Client = self._client("s3")
        return client

    @property
    def sns(self) -> SNSClient:
        client: SNSClient = self._client("sns")
        return client

    @property
    def sts(self) -> STSClient:
        client: STSClient = self._client("sts")
        return client

    def _client(self, service: str, config: Config = _RETRYING, *, name: str = "") -> Any:
        with self._lock:
            made = self._made.get(name or service)
            if made is None:
                create: Callable[..., Any] = self.session.client
                made = create(service, **self.options.arguments(service, config))
                self._made[name or service] = made
            return made


class AwsCache:
    """The clients of this process, by a key that says whose they are; the most recently used few.

    A session and its clients take tens of MB, and as long to make as a poll. A key is kept and compared, so it must
    hold no secret in clear.
    """

    def __init__(self, size: int = 4) -> None:
        self._size, self._lock = size, threading.Lock()
        self._kept: OrderedDict[str, Aws] = OrderedDict()

    def get(self, key: str, make: Callable[[], Aws]) -> Aws:
        """The clients of that key, made where there are none."""
        with self._lock:  # while they are made, too: others that come would make the same
            aws = self._kept.get(key) or make()
            self._kept[key] = aws
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return aws

    def forget(self, aws: Aws) -> None:
        """Make new ones for whoever asks next: what a session found once (a file, a profile) it does not read again."""
        with self._lock:
            for key in [key for key, kept in self._kept.items() if kept is aws]:
                del self._kept[key]


def open_aws(settings: Settings) -> Aws:
    """Clients for the settings' region, with their credentials or boto3's own chain."""
    credentials = settings.credentials
    if credentials is None:
        return Aws(boto3.Session(region_name=settings.region))
    token = credentials.session_token
    session = boto3.Session(
        region_name=settings.region,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key.get_secret_value(),
        aws_session_token=token.get_secret_value() if token else None,
    )
    return Aws(session, VARIABLE_ORIGIN)
