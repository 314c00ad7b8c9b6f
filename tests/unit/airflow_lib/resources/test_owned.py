"""What is ours has our name and our tag, and one failure never keeps the rest from being tried."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_lib.errors import ForeignResource, NotReady, ResourceError, TeardownError, UnknownState
from airflow_lib.naming import TAG_ENVIRONMENT, generation_of
from airflow_lib.resources.emr_cluster import ClusterState
from airflow_lib.resources.owned import (
    Owned,
    as_tag_list,
    as_tags,
    attempt_all,
    check_known,
    check_ours,
    same_generation,
)

from .conftest import ENVIRONMENT, OTHER, TAGS, refused, tags_of

NAME = "mayfly-dev-immigration-emr-ec2-g3"


def test_every_action_is_tried_and_every_failure_is_named() -> None:
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


def test_if_calling_again_is_all_that_is_needed_the_error_is_not_ready() -> None:
    def later() -> None:
        raise NotReady("in use")

    with pytest.raises(NotReady, match="in use"):
        attempt_all((later, lambda: None))


def test_every_reason_to_call_again_is_in_the_message() -> None:
    def later(reason: str) -> None:
        raise NotReady(reason)

    with pytest.raises(NotReady, match="a is in use; b is in use"):
        attempt_all((lambda: later("a is in use"), lambda: later("b is in use")))


def test_a_transient_error_is_raised_after_the_rest_was_tried() -> None:
    tried: list[str] = []

    def throttled() -> None:
        raise refused("Throttling")

    with pytest.raises(ClientError):
        attempt_all((throttled, lambda: tried.append("next")))
    assert tried == ["next"]


def test_where_every_action_succeeds_nothing_is_raised() -> None:
    tried: list[str] = []
    attempt_all((lambda: tried.append("a"), lambda: tried.append("b")))
    assert tried == ["a", "b"]


def test_an_owned_thing_shows_its_expiry_and_its_generation() -> None:
    owned = Owned("IAM role", "arn", NAME, TAGS)
    assert owned.expires_at == datetime(2026, 11, 21, 1, tzinfo=UTC)
    assert generation_of(ENVIRONMENT, owned.name) == 3
    assert str(owned) == f"IAM role {NAME} (arn)"


@pytest.mark.parametrize(
    ("owned", "line"),
    [
        (Owned("EMR cluster", "j-1", "c", state="WAITING"), "EMR cluster c (j-1, WAITING)"),
        (Owned("Redshift cluster", "c", "c", state="available"), "Redshift cluster c, available"),
        (Owned("Redshift subnet group", "c", "c"), "Redshift subnet group c"),
    ],
)
def test_a_thing_is_listed_with_its_id_and_state_where_they_say_more(owned: Owned, line: str) -> None:
    assert str(owned) == line


def test_a_thing_without_an_expiry_tag_never_expires() -> None:
    assert Owned("IAM role", "arn", NAME, {}).expires_at is None


def test_tags_survive_the_way_to_aws_and_back() -> None:
    assert as_tags(as_tag_list(TAGS)) == TAGS
    assert as_tags(None) == {}
    assert as_tags([{"Key": "bare"}]) == {"bare": ""}


def test_the_same_generation_is_the_same_environment_and_generation_whatever_the_expiry() -> None:
    assert same_generation({**TAGS, "mayfly:expires-at": "2030-01-01T00:00:00Z"}, TAGS)
    assert not same_generation(tags_of(2), TAGS)
    assert not same_generation(tags_of(3, OTHER), TAGS)
    assert not same_generation({}, TAGS)


def test_what_bears_our_name_and_our_tag_passes_the_check() -> None:
    check_ours("IAM role", NAME, TAGS, ENVIRONMENT)


@pytest.mark.parametrize(("name", "tags"), [(NAME, {}), ("analyst", TAGS), (NAME, tags_of(3, OTHER))])
def test_what_lacks_our_name_or_our_tag_is_foreign_and_the_message_says_what_to_do(
    name: str, tags: dict[str, str]
) -> None:
    expected = f"{name} exists without our tag {TAG_ENVIRONMENT}=dev-immigration.*remove it by hand"
    with pytest.raises(ForeignResource, match=expected):
        check_ours("IAM role", name, tags, ENVIRONMENT)


def test_an_unknown_state_is_named_with_the_console_to_look_in() -> None:
    with pytest.raises(UnknownState, match=r"\AEMR cluster c is 'HIBERNATING'.*EMR console"):
        check_known("EMR cluster c", "HIBERNATING", ClusterState, "EMR")


@pytest.mark.parametrize(
    "value",
    [
        "never",
        "2026-01-01",
        "2026-01-01T12:00:00",
        "99999-01-01T00:00:00Z",
        "",
        "١",
        "2026-13-01T00:00:00Z",
        "\x00",
    ],
)
def test_an_expiry_that_is_no_time_with_a_zone_is_none(value: str) -> None:
    """Anybody who may tag may write it: tags are free text of up to 256 characters."""
    assert Owned("IAM role", "arn", NAME, {"mayfly:expires-at": value}).expires_at is None


def test_tags_of_any_shape_are_read() -> None:
    odd: list[Any] = [
        {"Key": "a", "Value": None},
        {"Value": "x"},
        {},
        {"Key": ""},
        {"Key": "b", "Value": "1"},
    ]
    assert as_tags(odd) == {"a": "", "b": "1"}


def test_a_fault_of_our_own_keeps_no_other_action_from_being_tried() -> None:
    tried: list[str] = []

    def fail() -> None:
        raise KeyError("GroupName")

    with pytest.raises(KeyError, match="GroupName"):
        attempt_all((fail, lambda: tried.append("next")))
    assert tried == ["next"]


@pytest.mark.parametrize("state", ["WAITING", ClusterState.WAITING])
def test_a_known_state_passes(state: str) -> None:
    check_known("EMR cluster c", state, ClusterState, "EMR")
