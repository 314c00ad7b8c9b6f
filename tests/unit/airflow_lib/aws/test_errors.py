"""Which of AWS's answers are worth asking again, and what the others become."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from airflow_lib.aws.errors import (
    code_of,
    describe_credentials_error,
    explain,
    is_credentials_error,
    is_throttling,
    is_transient,
    message_of,
    refusal,
    status_of,
    translate_aws_errors,
)
from airflow_lib.errors import CredentialsRefused, NotReady, ResourceError

THROTTLING = ThrottledRetryableChecker._THROTTLED_ERROR_CODES
TIMEOUTS = TransientRetryableChecker._TRANSIENT_ERROR_CODES


def refused(code: str, message: str = "no", status: int = 400) -> ClientError:
    """What botocore raises when AWS refuses."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Action",
    )


def _bare() -> ClientError:
    return ClientError({}, "Action")


def test_the_parts_of_an_answer_are_read() -> None:
    error = refused("Nope", "because", status=418)
    assert (code_of(error), message_of(error), status_of(error)) == ("Nope", "because", 418)


def test_an_answer_without_any_part_is_a_refusal_without_words() -> None:
    assert (code_of(_bare()), message_of(_bare()), status_of(_bare())) == ("", "", 0)
    assert not is_transient(_bare())


@pytest.mark.parametrize("code", THROTTLING)
def test_every_code_that_botocore_takes_for_throttling_is_transient(code: str) -> None:
    assert is_throttling(refused(code))
    assert is_transient(refused(code))


# Of botocore's service models and of AWS's pages; see aws/errors.py.
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("DependentServiceRequestThrottlingFault", 400),
        ("Throttled", 429),
        ("KMSThrottling", 400),
        ("429", 429),
    ],
)
def test_throttling_that_botocores_lists_lack_is_throttling(code: str, status: int) -> None:
    assert is_throttling(refused(code, status=status))
    assert is_transient(refused(code, status=status))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("DependentServiceUnavailableFault", 400),
        ("InternalServerException", 400),
        ("InternalServerError", 400),
        ("InternalError", 400),
        ("ServiceUnavailable", 400),
        ("ConcurrentModification", 409),
        ("EntityTemporarilyUnmodifiable", 409),
        ("OperationAborted", 409),
        ("IDPCommunicationError", 400),
        ("BadDigest", 400),
        ("408", 408),
    ],
)
def test_passing_trouble_that_botocores_lists_lack_is_transient_and_no_throttling(
    code: str, status: int
) -> None:
    assert is_transient(refused(code, status=status))
    assert not is_throttling(refused(code, status=status))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InsufficientInstanceCapacity", 500),
        ("InsufficientClusterCapacity", 400),
        ("InsufficientCapacity", 503),
    ],
)
def test_a_lack_of_capacity_does_not_pass_in_seconds_whatever_its_status(code: str, status: int) -> None:
    assert not is_transient(refused(code, status=status))


CREDENTIALS = [
    ("ExpiredToken", "The security token included in the request is expired"),
    ("ExpiredTokenException", "The security token included in the request is expired"),
    ("RequestExpired", "Request has expired."),  # EC2: aws-sdk-java issue 1443
    ("TokenRefreshRequired", "The provided token must be refreshed."),
    ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    ("InvalidClientTokenId", "The security token included in the request is invalid."),
    ("UnrecognizedClientException", "The security token included in the request is invalid."),
    ("AuthFailure", "AWS was not able to validate the provided access credentials"),
    (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
    ),
]
CLOCK = [
    ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    (
        "SignatureDoesNotMatch",
        "Signature expired: 20151221T200419Z is now earlier than 20151221T201450Z (20151221T201950Z - 5 min.)",
    ),
    (
        "InvalidSignatureException",
        "Signature not yet current: 20190305T002809Z is still later than 20190304T214315Z",
    ),
]


@pytest.mark.parametrize(("code", "message"), CREDENTIALS)
def test_credentials_that_aws_does_not_accept_are_to_be_renewed(code: str, message: str) -> None:
    error = refused(code, message, status=403)
    assert is_credentials_error(error)
    assert not is_transient(error)
    with pytest.raises(
        CredentialsRefused, match=f"delete role x: AWS answered {code}: .*Renew the credentials"
    ):
        raise refusal("delete role x", error)


@pytest.mark.parametrize(("code", "message"), CLOCK)
def test_a_wrong_clock_of_the_host_has_its_own_hint(code: str, message: str) -> None:
    error = refused(code, message, status=403)
    assert is_credentials_error(error)
    told = str(refusal("read s3://lake/x", error))
    assert "clock of this host is wrong" in told
    assert "Renew" not in told


@pytest.mark.parametrize(
    "error",
    [
        NoCredentialsError(),
        CredentialRetrievalError(provider="iam-role", error_msg="timed out"),
        TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
        SSOTokenLoadError(error_msg="Token for start URL does not exist"),
        UnauthorizedSSOTokenError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_botocore_does_not_find_or_cannot_renew_count_too(error: Exception) -> None:
    assert is_credentials_error(error)
    assert "Renew the credentials" in describe_credentials_error(error)


@pytest.mark.parametrize("code", ["AccessDenied", "UnauthorizedOperation", "Throttling", "403", "400"])
def test_a_missing_right_is_not_a_matter_of_credentials(code: str) -> None:
    assert not is_credentials_error(refused(code, status=403))
    assert not isinstance(refusal("read s3://lake/x", refused(code)), CredentialsRefused)


@pytest.mark.parametrize("code", TIMEOUTS)
def test_a_request_that_timed_out_at_aws_is_transient(code: str) -> None:
    assert is_transient(refused(code))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_fault_of_awss_own_is_transient_and_no_throttling(status: int) -> None:
    assert is_transient(refused("InternalFailure", status=status))
    assert not is_throttling(refused("InternalFailure", status=status))


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url="https://emr"),
        ReadTimeoutError(endpoint_url="https://emr"),
        EndpointConnectionError(endpoint_url="https://emr"),
        ConnectionClosedError(endpoint_url="https://emr"),
        ResponseStreamingError(error="Connection reset by peer"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        FlexibleChecksumError(error_msg="Expected checksum a did not match calculated checksum: b"),
        ResponseParserError("Unable to parse response, invalid XML received"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_answer_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "code", ["AccessDenied", "ValidationException", "LimitExceeded", "NoSuchEntity", "NoSuchBucket", "404"]
)
def test_a_refusal_is_not_transient(code: str) -> None:
    assert not is_transient(refused(code))
    assert not is_throttling(refused(code))


@pytest.mark.parametrize(
    "error",
    [NoCredentialsError(), ParamValidationError(report="x"), ResourceError("x"), ValueError("x")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_repeating_cannot_cure_is_not_transient(error: Exception) -> None:
    assert not is_transient(error)


def test_a_refusal_names_what_was_tried_and_awss_words() -> None:
    expected = r"Could not create role x: AWS answered Nope: because\.\Z"
    with pytest.raises(ResourceError, match=expected) as caught, translate_aws_errors("create role x"):
        raise refused("Nope", "because")
    assert not isinstance(caught.value, NotReady)
    assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"])
def test_a_missing_right_points_to_the_policy(code: str) -> None:
    with (
        pytest.raises(ResourceError, match="iam-principal-policy.json"),
        translate_aws_errors("create role x"),
    ):
        raise refused(code)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("LimitExceeded", "The account's quota is used up: raise it"),
        ("InvalidParameterValue", "Airflow Variable `mayfly`"),
        ("ValidationException", "Airflow Variable `mayfly`"),
        ("NoSuchBucket", "Create the bucket, or correct mayfly.s3"),
    ],
)
def test_a_refusal_whose_remedy_is_known_says_what_to_do(code: str, hint: str) -> None:
    assert hint in str(refusal("read s3://lake/x", refused(code)))


def test_an_ignored_code_ends_the_block_in_silence() -> None:
    with translate_aws_errors("delete role x", ignore={"NoSuchEntity"}):
        raise refused("NoSuchEntity")


@pytest.mark.parametrize("status", [400, 409, 503])
def test_a_code_to_retry_is_not_ready_whatever_its_status(status: int) -> None:
    expected = "Could not delete role x yet: DeleteConflict: held"
    with (
        pytest.raises(NotReady, match=expected),
        translate_aws_errors("delete role x", retry={"DeleteConflict"}),
    ):
        raise refused("DeleteConflict", "held", status)


@pytest.mark.parametrize("options", [{"ignore": {"Other"}}, {"retry": {"Other"}}])
def test_a_code_that_is_neither_ignored_nor_retried_is_a_refusal(options: dict[str, set[str]]) -> None:
    with (
        pytest.raises(ResourceError, match="Nope") as caught,
        translate_aws_errors("create role x", **options),
    ):
        raise refused("Nope")
    assert not isinstance(caught.value, NotReady)


@pytest.mark.parametrize(
    "error",
    [refused("Throttling"), refused("RequestTimeout"), refused("InternalFailure", status=500)],
    ids=code_of,
)
def test_what_is_transient_passes_unchanged_for_whoever_polls_to_decide(error: ClientError) -> None:
    with pytest.raises(ClientError) as caught, translate_aws_errors("create role x"):
        raise error
    assert caught.value is error


def test_no_answer_passes_unchanged_too() -> None:
    with pytest.raises(ReadTimeoutError), translate_aws_errors("create role x"):
        raise ReadTimeoutError(endpoint_url="https://iam")


def test_errors_that_are_not_awss_pass_unchanged() -> None:
    with pytest.raises(KeyError), translate_aws_errors("create role x", ignore={"x"}, retry={"x"}):
        raise KeyError("x")


def test_where_nothing_is_raised_the_block_returns_what_it_returns() -> None:
    def read() -> str:
        with translate_aws_errors("read role x"):
            return "role"

    assert read() == "role"


def test_an_error_that_nobody_foresaw_is_explained_with_its_type_and_its_traceback_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert explain(ResourceError("it is gone")) == "it is gone"
    assert "Throttling" in explain(refused("Throttling"))
    assert caplog.records == []
    assert explain(KeyError("Name\x00")) == "unexpected KeyError: 'Name\\x00'"
    (record,) = caplog.records
    assert record.exc_info is not None
