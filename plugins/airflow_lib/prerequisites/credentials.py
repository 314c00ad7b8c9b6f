"""Who AWS takes us for, and whether the host's clock agrees with AWS's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import AWS_ERRORS, is_transient
from airflow_lib.errors import SettingsError
from airflow_lib.prerequisites.finding import Finding, ok, unknown, wrong
from airflow_lib.settings import Settings

CREDENTIALS, CLOCK = "credentials", "clock"

# AWS refuses a request whose time is more than five minutes from its own:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
_TOLERATED_SKEW_S = 240


def probe_identity(aws: Aws, settings: Settings) -> str:
    """The ARN of the identity that the credentials belong to.

    Raises SettingsError that names where they come from; what is transient passes through.
    """
    try:
        return str(aws.sts.get_caller_identity()["Arn"])
    except EndpointConnectionError as error:
        raise SettingsError(
            f"aws_region: AWS cannot be reached in {settings.region!r} ({error}). "
            "Check the region's name and the workers' network."
        ) from error
    except AWS_ERRORS as error:
        if is_transient(error):
            raise
        raise SettingsError(
            f"AWS does not accept the credentials in {aws.origin}: {error}. Renew them."
        ) from error


def check_credentials(aws: Aws, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether AWS accepts the credentials, and the host's clock. `now` is the host's time."""
    headers: Mapping[str, str] = {}

    def keep_headers(parsed: Any, **_: Any) -> None:
        nonlocal headers
        headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})

    event = "after-call.sts.GetCallerIdentity"
    aws.sts.meta.events.register(event, keep_headers)
    try:
        arn = probe_identity(aws, settings)
    except SettingsError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError):  # where the clock is wrong, AWS accepts no credentials
            headers = cause.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        yield wrong(CREDENTIALS, error.message)
    else:
        yield ok(CREDENTIALS, arn)
    finally:
        aws.sts.meta.events.unregister(event, keep_headers)
    yield _check_clock(headers.get("date"), now)


def _check_clock(date: str | None, now: datetime) -> Finding:
    try:
        theirs = parsedate_to_datetime(date or "")
        skew_s = (now - theirs).total_seconds()
    except (TypeError, ValueError):
        return unknown(CLOCK, f"AWS's answer bears no usable date ({date})")
    if abs(skew_s) > _TOLERATED_SKEW_S:
        return wrong(
            CLOCK,
            f"this host is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} AWS, which refuses requests "
            "from 300 s on. Synchronise the clock (NTP) of every host.",
        )
    return ok(CLOCK, f"within {abs(skew_s):.0f} s of AWS's")
