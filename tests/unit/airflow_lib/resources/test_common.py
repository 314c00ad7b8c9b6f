from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from airflow_lib.errors import ResourceError, TeardownError
from airflow_lib.resources.common import NotReady, Owned, asking, attempt_all

from .conftest import ENVIRONMENT, TAGS, refused


def test_a_refusal_names_what_was_tried_and_awss_words() -> None:
    expected = r"Could not create role x: AWS answered Nope: because\."
    with pytest.raises(ResourceError, match=expected), asking("create role x"):
        raise refused("Nope", "because")


def test_a_missing_right_points_to_the_policy() -> None:
    with pytest.raises(ResourceError, match="iam-principal-policy.json"), asking("create role x"):
        raise refused("AccessDenied")


def test_an_ignored_code_ends_the_block_in_silence() -> None:
    with asking("delete role x", ignoring={"NoSuchEntity"}):
        raise refused("NoSuchEntity")


def test_a_code_worth_asking_again_is_not_yet() -> None:
    with pytest.raises(NotReady, match="DeleteConflict"), asking("delete role x", again={"DeleteConflict"}):
        raise refused("DeleteConflict")


@pytest.mark.parametrize("error", [refused("Throttling"), refused("InternalFailure", status=500)])
def test_what_is_transient_is_left_to_the_callers_patience(error: ClientError) -> None:
    with pytest.raises(ClientError), asking("create role x"):
        raise error


def test_every_action_is_tried_and_every_failure_told() -> None:
    tried: list[str] = []

    def fail(name: str, error: Exception) -> None:
        tried.append(name)
        raise error

    with pytest.raises(TeardownError) as caught:
        attempt_all(
            (
                lambda: fail("a", ResourceError("a stays")),
                lambda: fail("b", NotReady("b later")),
                lambda: tried.append("c"),
            )
        )
    assert tried == ["a", "b", "c"]
    assert "a stays" in str(caught.value)
    assert "b later" in str(caught.value)


def test_where_asking_again_is_all_it_takes_the_answer_is_not_yet() -> None:
    def later() -> None:
        raise NotReady("in use")

    with pytest.raises(NotReady, match="in use"):
        attempt_all((later, lambda: None))


def test_a_transient_error_surfaces_after_the_rest_was_tried() -> None:
    tried: list[str] = []

    def throttled() -> None:
        raise refused("Throttling")

    with pytest.raises(ClientError):
        attempt_all((throttled, lambda: tried.append("next")))
    assert tried == ["next"]


def test_an_owned_thing_tells_its_age_and_generation() -> None:
    owned = Owned("IAM role", "arn", "mayfly-dev-immigration-emr-ec2-g3", TAGS)
    assert owned.expires_at == datetime(2026, 11, 21, 1, tzinfo=UTC)
    assert owned.generation(ENVIRONMENT) == 3
    assert str(owned) == "IAM role mayfly-dev-immigration-emr-ec2-g3 (arn)"
