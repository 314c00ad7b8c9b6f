"""Names carry environment, slot and generation; only name and tag together make a thing ours."""

from datetime import UTC, datetime

import pytest

from airflow_lib.naming import (
    MAX_GENERATION,
    Environment,
    Names,
    Slot,
    answer_asset_uri,
    generation_of,
    is_ours,
    session_name,
    slot_of,
    table_asset_uri,
    tags,
    warehouse_name,
)

ENVIRONMENT = Environment("prod", "immigration")
NAMES = Names(ENVIRONMENT, Slot.EMR, 7)
ALL_NAMES = [name for name, kind in vars(Names).items() if isinstance(kind, property)]


def test_names_stay_within_awss_limits_at_the_longest():
    longest = Names(Environment("d" * 12, "p" * 16), Slot.WAREHOUSE, 99999)
    for name in ALL_NAMES:
        assert len(getattr(longest, name)) <= 63, name


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_name_carries_its_generation(name):
    assert generation_of(ENVIRONMENT, getattr(NAMES, name)) == 7


@pytest.mark.parametrize("name", ALL_NAMES)
@pytest.mark.parametrize("slot", list(Slot))
def test_every_name_carries_its_slot(name, slot):
    assert slot_of(ENVIRONMENT, getattr(Names(ENVIRONMENT, slot, 7), name)) is slot


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
def test_a_similar_name_is_not_ours(name):
    assert generation_of(ENVIRONMENT, name) is None
    assert slot_of(ENVIRONMENT, name) is None


def test_ours_needs_name_and_tag_both():
    own = tags(ENVIRONMENT, 7, datetime(2026, 1, 1, tzinfo=UTC), 3600)
    assert is_ours(ENVIRONMENT, NAMES.cluster, own)
    assert not is_ours(ENVIRONMENT, NAMES.cluster, {})
    assert not is_ours(ENVIRONMENT, NAMES.cluster, {**own, "mayfly:environment": "dev-immigration"})
    assert not is_ours(ENVIRONMENT, "somebody-elses", own)


def test_expiry_is_birth_plus_max_age():
    own = tags(ENVIRONMENT, 7, datetime(2026, 1, 1, tzinfo=UTC), 3600)
    assert own["mayfly:expires-at"] == "2026-01-01T01:00:00Z"


def test_a_retry_of_the_same_run_finds_the_same_session_and_another_run_does_not():
    first = session_name(ENVIRONMENT, "manual__2026", "arrivals")
    assert first == session_name(ENVIRONMENT, "manual__2026", "arrivals")
    assert first != session_name(ENVIRONMENT, "manual__2027", "arrivals")


@pytest.mark.parametrize("generation", ["01", "-5", "00", "+1", "1 ", "١", "10000000", "9" * 5000, ""])
def test_what_no_generation_is_written_as_is_not_ours(generation):
    name = f"mayfly-prod-immigration-emr-g{generation}"
    assert generation_of(ENVIRONMENT, name) is None
    assert slot_of(ENVIRONMENT, name) is None
    assert not is_ours(ENVIRONMENT, name, {"mayfly:environment": "prod-immigration"})


def test_the_highest_generation_has_room_in_every_name():
    longest = Names(Environment("d" * 12, "p" * 16), Slot.WAREHOUSE, MAX_GENERATION)
    for name in ALL_NAMES:
        assert len(getattr(longest, name)) <= 63, name
        assert generation_of(longest.environment, getattr(longest, name)) == MAX_GENERATION


def test_what_others_wait_for_is_named_by_pipeline_and_table_alone():
    assert table_asset_uri("immigration", "dimTourist") == "mayfly://immigration/tables/dimTourist"
    assert answer_asset_uri("immigration", "stay") == "mayfly://immigration/answers/stay"


def test_the_name_of_a_warehouse_in_lineage_is_that_of_none_of_its_clusters():
    assert warehouse_name(ENVIRONMENT) == "mayfly-prod-immigration-warehouse"
    assert generation_of(ENVIRONMENT, warehouse_name(ENVIRONMENT)) is None
