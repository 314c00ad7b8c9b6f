"""What AWS's refusals mean: worth asking again, or an error of ours with AWS's own words and what to do.

Nothing here waits or retries. A transient error passes through as botocore raised it: whoever polls decides for how
long to go on (`polling.TransientBudget`).
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker

from airflow_lib.aws.causes import hint_of
from airflow_lib.errors import NotReady, ResourceError

# All that boto3 raises.
AWS_ERRORS = (BotoCoreError, ClientError)

# botocore's own lists of codes: the union of what AWS's services were seen to answer.
_THROTTLED, _TRANSIENT = ThrottledRetryableChecker(), TransientRetryableChecker()


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
    return _matches(_THROTTLED, error)


def is_transient(error: BaseException) -> bool:
    """Whether asking AWS again may well succeed: no answer, throttling, or a fault of AWS's own."""
    if isinstance(error, (AwsConnectionError, HTTPClientError)):
        return True
    if not isinstance(error, ClientError):
        return False
    return status_of(error) >= 500 or is_throttling(error) or _matches(_TRANSIENT, error)


def refusal(action: str, error: ClientError) -> ResourceError:
    """The error to raise when AWS refuses for good: the action, AWS's words, and what to do."""
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
