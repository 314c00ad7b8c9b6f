"""A holder: its register, and the tags of what it creates."""

from __future__ import annotations

from airflow_lib.lifecycle import rules
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_EXPIRES_AT, TAG_GENERATION, Slot
from airflow_lib.steps import Run
from tests.world import World
from tests.world.pipeline import PIPELINE


def test_a_holder_leases_in_its_own_name_and_for_its_own_time(world: World, run: Run) -> None:
    run.holder.register.apply(Slot.EMR, rules.acquire)
    lease = world.register(PIPELINE).emr.lease("run1")
    assert lease is not None
    assert (lease.until - world.now()).total_seconds() == run.settings.mayfly.lease_s
    assert run.holder.register.uri.endswith("/state/immigration/register.json")


def test_what_it_creates_expires_max_age_after_its_birth(world: World, run: Run) -> None:
    assert run.settings.mayfly.max_age_s == 14400
    assert run.holder.tags(7) == {
        TAG_ENVIRONMENT: "dev-immigration",
        TAG_GENERATION: "7",
        TAG_EXPIRES_AT: "2026-11-21T16:00:00Z",
    }
