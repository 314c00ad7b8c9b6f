"""What AWS's refusals mean: worth asking again, or an error of ours with AWS's own words and what to do.

Nothing here waits or retries. A transient error passes through as botocore raised it: whoever polls decides for how
long to go on (`polling.TransientBudget`). Credentials that AWS does not accept become CredentialsRefused: whoever
polls waits for renewed ones, until the step's deadline.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    LoginError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker

from airflow_lib.aws.causes import hint_of
from airflow_lib.bounded_json import as_text
from airflow_lib.errors import CredentialsRefused, MayflyError, NotReady, ResourceError

log = logging.getLogger(__name__)

# All that boto3 raises.
AWS_ERRORS = (BotoCoreError, ClientError)

# botocore's own lists of codes: the union of what AWS's services were seen to answer.
_THROTTLED, _TRANSIENT = ThrottledRetryableChecker(), TransientRetryableChecker()

# What those lists lack, of the services that Mayfly uses. The names are those of botocore's service models
# (botocore/data/<service>/*/service-2.json), the statuses that they give most of them are below 500.
_MORE_THROTTLED = frozenset(
    {
        "DependentServiceRequestThrottlingFault",  # Redshift, 400: KMS or EC2 throttles Redshift on our behalf
        "Throttled",  # SNS, 429
        "KMSThrottling",  # SNS, 400
    }
)
_MORE_TRANSIENT = frozenset(
    {
        "DependentServiceUnavailableFault",  # Redshift, 400: "Wait 30 to 60 seconds and try again"
        "InternalServerError",  # EMR, whose model gives neither of the two a status
        "InternalServerException",
        # https://docs.aws.amazon.com/emr/latest/APIReference/CommonErrors.html and S3's, EC2's and SNS's own lists;
        # 5xx each, but a proxy or a gateway in between may change that
        "InternalFailure",
        "InternalError",
        "ServiceFailure",
        "ServiceUnavailable",
        "Unavailable",
        "ConcurrentModification",  # IAM, 409: "Wait a few minutes and submit your request again"
        "EntityTemporarilyUnmodifiable",  # IAM, 409: "likely to succeed if you try again after waiting"
        "OperationAborted",  # S3, 409: "A conflicting conditional operation is currently in progress … Try again"
        # botocore repeats these two in its legacy mode only (botocore/data/_retry.json)
        "IDPCommunicationError",  # STS, 400
        "BadDigest",  # S3, 400: the body was damaged on its way
    }
)
# No answer, or one that was cut off or damaged on its way, which botocore does not repeat while a body is read.
_NO_ANSWER = (
    AwsConnectionError,
    HTTPClientError,
    IncompleteReadError,
    FlexibleChecksumError,
    ResponseParserError,
)

# Answers without a body, as to S3's HEAD, have no code but their status: Request Timeout, Too Many Requests.
_TRANSIENT_STATUS = frozenset({408, 429})

# EC2 and EMR answer a lack of capacity with 5xx: waiting seconds does not mend it, another type or zone does.
# https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html, "Server error codes"
_CAPACITY_CODE = re.compile(r"Insufficient\w*Capacity")

# Expired, deleted, disabled or mistyped keys, as each family of services says it:
# https://github.com/aws/aws-sdk-go/pull/253 (the three of expired ones; EC2 says RequestExpired, aws-sdk-java issue
# 1443), https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and the common errors of EMR and EC2.
_CREDENTIALS_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "TokenRefreshRequired",
        "InvalidToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "AuthFailure",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidIdentityToken",  # STS: the token of assume_role_with_web_identity
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    }
)
# What botocore raises where it finds no credentials, or cannot renew them (SSO, `aws login`, the host's role).
_CREDENTIALS_ERRORS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    NoAuthTokenError,
    MetadataRetrievalError,
    ProfileNotFound,
    SSOError,
    LoginError,
)
# The host's clock differs from AWS's by more than 5 or 15 minutes. S3 has a code for it, the others refuse the
# signature: "Signature expired: 20151221T200419Z is now earlier than …", "Signature not yet current: …"
# (convox/rack issue 235, aws/aws-sdk-js issue 1652).
_CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_CLOCK_MESSAGE = re.compile(r"Signature (expired|not yet current)", re.IGNORECASE)

_RENEW_HINT = "Renew the credentials; a run that waits goes on with the renewed ones."
_CLOCK_HINT = "The clock of this host is wrong: synchronise it (chrony or another NTP client)."


def code_of(error: ClientError) -> str:
    """AWS's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status that AWS answered, or 0."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_throttling(error: ClientError) -> bool:
    """Whether AWS asks to slow down."""
    if status_of(error) == 429 or code_of(error) in _MORE_THROTTLED:
        return True
    return _matches(_THROTTLED, error)


def is_transient(error: BaseException) -> bool:
    """Whether asking AWS again may well succeed: no answer, throttling, or a fault of AWS's own."""
    if isinstance(error, _NO_ANSWER):
        return True
    if not isinstance(error, ClientError) or _CAPACITY_CODE.search(code_of(error)):
        return False
    if status_of(error) >= 500 or status_of(error) in _TRANSIENT_STATUS or is_throttling(error):
        return True
    return code_of(error) in _MORE_TRANSIENT or _matches(_TRANSIENT, error)


def is_credentials_error(error: BaseException) -> bool:
    """Whether AWS does not accept the credentials, or there are none: a new session with renewed ones may succeed.

    A wrong clock of the host counts, too: nothing but that has to be corrected, and no request is accepted till then.
    """
    if isinstance(error, ClientError):
        return code_of(error) in _CREDENTIALS_CODES | _CLOCK_CODES
    return isinstance(error, (CredentialsRefused, *_CREDENTIALS_ERRORS))


def describe_credentials_error(error: BaseException) -> str:
    """What AWS or botocore said of the credentials, and what to do; of an error of `is_credentials_error`."""
    if not isinstance(error, ClientError):
        return str(error) if isinstance(error, CredentialsRefused) else f"{error}. {_RENEW_HINT}"
    code, message = code_of(error), message_of(error)
    is_clock = code in _CLOCK_CODES or _CLOCK_MESSAGE.search(message)
    return f"AWS answered {code}: {message}. {_CLOCK_HINT if is_clock else _RENEW_HINT}"


def explain(error: Exception) -> str:
    """The message of an error that is told beside others.

    Of one that nobody foresaw it says the type, too, and the traceback is logged.
    """
    if isinstance(error, (MayflyError, *AWS_ERRORS)):
        return as_text(str(error))
    log.error("unexpected error", exc_info=error)
    return as_text(f"unexpected {type(error).__name__}: {error}")


def refusal(action: str, error: ClientError) -> ResourceError:
    """The error to raise when AWS refuses for good: the action, AWS's words, and what to do.

    CredentialsRefused where it is the credentials that are refused, and not the action.
    """
    if is_credentials_error(error):
        return CredentialsRefused(f"Could not {action}: {describe_credentials_error(error)}")
    code, message = code_of(error), message_of(error)
    hint = hint_of(code, message)
    return ResourceError(f"Could not {action}: AWS answered {code}: {message.rstrip('.')}. {hint}".rstrip())


@contextmanager
def translate_aws_errors(
    action: str, *, ignore: Container[str] = (), retry: Container[str] = ()
) -> Iterator[None]:
    """Run AWS calls, and raise their refusals as errors of ours that name the `action`.

    Error codes in `ignore` end the block silently; those in `retry` become NotReady; every other refusal becomes
    ResourceError. What is transient passes through unchanged.
    """
    try:
        yield
    except ClientError as error:
        if code_of(error) in ignore:
            return
        if code_of(error) in retry:
            raise NotReady(f"Could not {action} yet: {code_of(error)}: {message_of(error)}") from error
        if is_transient(error):
            raise
        raise refusal(action, error) from error


def _matches(checker: ThrottledRetryableChecker | TransientRetryableChecker, error: ClientError) -> bool:
    return bool(checker.is_retryable(RetryContext(attempt_number=1, parsed_response=error.response)))
