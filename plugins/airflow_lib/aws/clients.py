"""boto3 clients for one region and one identity, and nothing else.

Addresses are boto3's own: nothing here names an endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class Aws:
    """Clients made on first use; share one Aws per task (clients are thread-safe, sessions are not)."""

    session: boto3.Session

    @cached_property
    def emr(self) -> EMRClient:
        return self.session.client("emr", config=_RETRYING)

    @cached_property
    def emr_no_retry(self) -> EMRClient:
        """For RunJobFlow alone."""
        return self.session.client("emr", config=_NO_RETRY)

    @cached_property
    def ec2(self) -> EC2Client:
        return self.session.client("ec2", config=_RETRYING)

    @cached_property
    def iam(self) -> IAMClient:
        return self.session.client("iam", config=_RETRYING)

    @cached_property
    def redshift(self) -> RedshiftClient:
        return self.session.client("redshift", config=_RETRYING)

    @cached_property
    def kms(self) -> Any:
        """Untyped: only the doctor describes a key."""
        return self.session.client("kms", config=_RETRYING)

    @cached_property
    def quotas(self) -> Any:
        """Service Quotas. Untyped: only the doctor reads it."""
        return self.session.client("service-quotas", config=_RETRYING)

    @cached_property
    def s3(self) -> S3Client:
        return self.session.client("s3", config=_RETRYING)

    @cached_property
    def sns(self) -> SNSClient:
        return self.session.client("sns", config=_RETRYING)

    @cached_property
    def sts(self) -> STSClient:
        return self.session.client("sts", config=_RETRYING)


def open_aws(settings: Settings) -> Aws:
    """Clients for the settings' region, with their credentials or boto3's own chain."""
    credentials = settings.credentials
    if credentials is None:
        return Aws(boto3.Session(region_name=settings.region))
    token = credentials.session_token
    return Aws(
        boto3.Session(
            region_name=settings.region,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key.get_secret_value(),
            aws_session_token=token.get_secret_value() if token else None,
        )
    )
