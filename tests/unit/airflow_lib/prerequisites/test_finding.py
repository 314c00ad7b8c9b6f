"""What becomes of a check: nothing of AWS's is raised, and what was found before stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import SettingsError
from airflow_lib.prerequisites.finding import Finding, Standing, examine, format_refusal, ok


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no."}}, "DescribeThings")


def failing(error: Exception) -> Iterator[Finding]:
    yield ok("first", "is there")
    raise error


@pytest.mark.parametrize(
    ("error", "standing", "told"),
    [
        (
            refused("UnauthorizedOperation"),
            Standing.UNKNOWN,
            "AWS answered UnauthorizedOperation to DescribeThings",
        ),
        (refused("Throttling"), Standing.UNKNOWN, "AWS answered Throttling"),
        (EndpointConnectionError(endpoint_url="https://x"), Standing.UNKNOWN, "AWS gives no answer"),
        (KeyError("VpcId"), Standing.UNKNOWN, "AWS's answer cannot be read (KeyError: 'VpcId')"),
        (SettingsError("x: wrong. Mend it."), Standing.WRONG, "x: wrong. Mend it."),
    ],
)
def test_an_error_is_the_last_finding(error: Exception, standing: Standing, told: str) -> None:
    first, last = examine("things", lambda: failing(error))
    assert first == ok("first", "is there")
    assert (last.subject, last.standing) == ("things", standing)
    assert told in last.message


@pytest.mark.parametrize(
    ("code", "standing"), [("AccessDenied", Standing.UNKNOWN), ("NoSuchBucket", Standing.WRONG)]
)
def test_our_own_error_is_wrong_unless_aws_refused_to_be_asked(code: str, standing: Standing) -> None:
    def check() -> Iterator[Finding]:
        with translate_aws_errors("read things"):
            raise refused(code)
        yield ok("things", "are there")

    (found,) = examine("things", check)
    assert found.standing is standing


def test_the_right_that_is_missing_is_asked_for_and_no_other() -> None:
    assert format_refusal(refused("AccessDenied")).endswith(
        "no. Grant this right (docs/iam-doctor-policy.json, docs/iam-principal-policy.json)"
    )
    assert "Grant" not in format_refusal(refused("Throttling"))


def test_what_is_no_error_of_a_check_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        examine("things", lambda: failing(ZeroDivisionError()))
