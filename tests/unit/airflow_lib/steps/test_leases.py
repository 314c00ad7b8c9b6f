"""Leases while steps work and wait: what is kept, what may be lost, and where they were taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from airflow_lib.errors import LeaseLost, SettingsError
from airflow_lib.naming import Slot
from airflow_lib.steps import Json, Run
from airflow_lib.steps.leases import (
    check_register_location,
    keeping_lease,
    register_location,
    renew_leases,
)
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.release import ReleaseSlot
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk


def until(world: World, run: Run, slot: Slot) -> datetime:
    lease = world.register(PIPELINE).slot(slot).lease(run.run_id)
    assert lease is not None
    return lease.until


@pytest.fixture
def provided(world: World, run: Run) -> Run:
    assert walk(world, run, only="provision").errors == {}
    return run


def test_the_warehouse_stays_held_by_a_load_that_began_before_emr_was_released(
    world: World, provided: Run
) -> None:
    state: Json = {}
    renew_leases(provided, state, needs=Slot.WAREHOUSE)
    drive(ReleaseSlot(Slot.EMR), provided, world)
    world.advance(provided.settings.mayfly.lease_s / 2)
    before = until(world, provided, Slot.WAREHOUSE)
    renew_leases(provided, state, needs=Slot.WAREHOUSE)
    assert until(world, provided, Slot.WAREHOUSE) > before


def test_a_step_whose_own_slot_is_gone_loses_its_lease(world: World, provided: Run) -> None:
    state: Json = {}
    renew_leases(provided, state, needs=Slot.EMR)
    drive(ReleaseSlot(Slot.EMR), provided, world)
    world.advance(provided.settings.mayfly.lease_s / 2)
    with pytest.raises(LeaseLost):
        renew_leases(provided, state, needs=Slot.EMR)


def test_a_step_does_not_take_the_next_generation_for_its_own(world: World, provided: Run) -> None:
    state: Json = {}
    renew_leases(provided, state, needs=Slot.EMR)
    drive(ReleaseSlot(Slot.EMR), provided, world)
    drive(TakeLease(), provided, world)
    world.advance(provided.settings.mayfly.lease_s / 2)
    with pytest.raises(LeaseLost):
        renew_leases(provided, state, needs=Slot.EMR)


def test_a_run_that_waits_for_one_slot_keeps_the_other(world: World, provided: Run) -> None:
    world.advance(provided.settings.mayfly.lease_s / 2)
    before = until(world, provided, Slot.WAREHOUSE)
    renew_leases(provided, {}, needs=None)
    assert until(world, provided, Slot.WAREHOUSE) > before


def test_a_renewal_that_is_not_due_writes_nothing(world: World, provided: Run) -> None:
    state: Json = {}
    renew_leases(provided, state, needs=Slot.WAREHOUSE)
    written = len(world.wire.sent("s3.PutObject"))
    before = dict(state)
    renew_leases(provided, state, needs=Slot.WAREHOUSE)
    assert state == before
    assert len(world.wire.sent("s3.PutObject")) == written


def test_short_work_keeps_the_lease_too_when_that_is_due(world: World, provided: Run) -> None:
    before = until(world, provided, Slot.WAREHOUSE)
    with keeping_lease(provided, Slot.WAREHOUSE):
        pass
    assert until(world, provided, Slot.WAREHOUSE) == before
    for _ in range(3):
        world.advance(provided.settings.mayfly.lease_s / 2)
        with keeping_lease(provided, Slot.WAREHOUSE):
            pass
    assert until(world, provided, Slot.WAREHOUSE) > before + timedelta(
        seconds=provided.settings.mayfly.lease_s
    )


def test_a_run_releases_only_where_it_took_its_leases(run: Run, make_run: Callable[..., Run]) -> None:
    check_register_location(run, register_location(run))
    check_register_location(run, None)
    moved = make_run(
        deployment="prod", s3={**run.settings.mayfly.s3.model_dump(), "state": "s3://elsewhere/state"}
    )
    with pytest.raises(SettingsError, match="register was .* now it is s3://elsewhere/state"):
        check_register_location(moved, register_location(run))
