"""Names carry environment, slot and generation; a resource is ours only by name and tag together."""

import re
from datetime import UTC, datetime

import pytest

from airflow_lib.naming import (
    Environment,
    Names,
    Slot,
    generation_of,
    is_ours,
    run_key,
    session_name,
    slot_of,
    staging_schema,
    tags,
)

ENVIRONMENT = Environment("prod", "immigration")
NAMES = Names(ENVIRONMENT, Slot.EMR, 7)
ALL_NAMES = [name for name, kind in vars(Names).items() if isinstance(kind, property)]


def test_names_stay_within_awss_limits_at_the_longest():
    longest = Names(Environment("d" * 12, "p" * 16), Slot.WAREHOUSE, 99999)
    for name in ALL_NAMES:
        assert len(getattr(longest, name)) <= 63, name


@pytest.mark.parametrize("name", ALL_NAMES)
def test_generation_and_slot_are_read_back_from_every_name(name):
    assert generation_of(ENVIRONMENT, getattr(NAMES, name)) == 7
    assert slot_of(ENVIRONMENT, getattr(NAMES, name)) is Slot.EMR


@pytest.mark.parametrize(
    "name",
    [
        "mayfly-prod-immigration2-emr-g7",
        "mayfly-prod-immigration-emr-g7x",
        "mayfly-prod-immigration-g7",
        "xmayfly-prod-immigration-emr-g7",
        "mayfly-dev-immigration-emr-g7",
    ],
)
def test_a_name_that_only_resembles_ours_is_not_ours(name):
    assert generation_of(ENVIRONMENT, name) is None
    assert slot_of(ENVIRONMENT, name) is None


def test_a_resource_is_ours_by_name_and_tag_together():
    own = tags(ENVIRONMENT, 7, datetime(2026, 1, 1, tzinfo=UTC), 3600)
    assert is_ours(ENVIRONMENT, NAMES.cluster, own)
    assert not is_ours(ENVIRONMENT, NAMES.cluster, {})
    assert not is_ours(ENVIRONMENT, NAMES.cluster, {**own, "mayfly:environment": "dev-immigration"})
    assert not is_ours(ENVIRONMENT, "somebody-elses", own)


def test_expiry_is_the_time_of_creation_plus_max_age():
    own = tags(ENVIRONMENT, 7, datetime(2026, 1, 1, tzinfo=UTC), 3600)
    assert own["mayfly:expires-at"] == "2026-01-01T01:00:00Z"


def test_a_retry_of_the_same_run_finds_the_same_session_and_another_run_does_not():
    first = session_name(ENVIRONMENT, "manual__2026", "arrivals")
    assert first == session_name(ENVIRONMENT, "manual__2026", "arrivals")
    assert first != session_name(ENVIRONMENT, "manual__2027", "arrivals")


def test_a_runs_staging_schema_is_its_own_and_a_valid_identifier():
    first, second = staging_schema("manual__2026-11-21T00:00:00+00:00"), staging_schema("manual__2027")
    assert re.fullmatch(r"staging_[0-9a-f]{12}", first)
    assert first != second
    assert first.endswith(run_key("manual__2026-11-21T00:00:00+00:00"))
