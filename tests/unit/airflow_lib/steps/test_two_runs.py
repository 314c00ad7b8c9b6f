"""Two runs of one window at once, where one waits in Airflow's queue for the other's Spark sessions.

A queued task has no trigger that could renew the run's leases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airflow_lib.errors import LeaseLost
from airflow_lib.naming import Slot
from airflow_lib.steps import Run
from airflow_lib.steps.clusters import find_livy, find_warehouse
from airflow_lib.steps.release import ReleaseSlot, TakeInventory
from tests.proof.janitor import pass_once
from tests.world import World, livy_servers
from tests.world.pipeline import APRIL, PIPELINE, tables_of
from tests.world.walk import drive, walk, walk_all

MakeRun = Callable[..., Run]
LEASE_S = 300


@pytest.fixture
def long_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job takes three leases."""
    monkeypatch.setattr(livy_servers, "STATEMENT_S", 3 * LEASE_S)


@pytest.mark.usefixtures("long_jobs")
@pytest.mark.parametrize("forced", [False, True], ids=["what the first computed", "each its own"])
def test_a_run_that_was_queued_for_longer_than_a_lease_is_green(
    world: World, make_run: MakeRun, forced: bool
) -> None:
    """It used to find all outputs complete, and the warehouse gone: LeaseLost in each of its COPYs."""
    runs = [replace(make_run(name, lease_s=LEASE_S), force=forced) for name in ("first", "second")]

    walked = walk_all(world, runs, queued=True)

    assert [one.errors for one in walked] == [{}, {}]
    register = world.register(PIPELINE)
    assert (register.emr.generation, register.warehouse.generation) == (1, 1)
    assert world.emr.live == world.warehouses.live == []
    assert world.tables(PIPELINE) == tables_of(APRIL)


@pytest.fixture
def queued(world: World, make_run: MakeRun) -> Run:
    """A run whose leases ran out while all its tasks were queued; another one, `at_work`, uses the clusters."""
    run = make_run("queued", lease_s=LEASE_S)
    at_work = make_run("at_work", lease_s=LEASE_S)
    assert [one.errors for one in walk_all(world, [run, at_work], only="provision")] == [{}, {}]
    world.advance(LEASE_S - 1)
    at_work.register.renew()
    world.advance(2)
    return run


def names_of(world: World, slot: Slot) -> list[str]:
    return list(world.register(PIPELINE).slot(slot).live(world.now()))


def test_whose_leases_ran_out_unnoticed_goes_on_with_new_ones(world: World, queued: Run) -> None:
    assert names_of(world, Slot.EMR) == names_of(world, Slot.WAREHOUSE) == ["at_work"]
    assert find_livy(queued).url
    assert find_warehouse(queued).generation == 1
    assert names_of(world, Slot.EMR) == names_of(world, Slot.WAREHOUSE) == ["at_work", "queued"]


def test_the_janitor_leaves_a_queued_run_its_leases_while_another_is_at_work(
    world: World, queued: Run
) -> None:
    pass_once(world)
    assert find_warehouse(queued).generation == 1


def test_whose_clusters_were_torn_down_meanwhile_touches_nothing(
    world: World, make_run: MakeRun, queued: Run
) -> None:
    drive(ReleaseSlot(Slot.WAREHOUSE), make_run("at_work", lease_s=LEASE_S), world)
    with pytest.raises(LeaseLost, match="no longer holds the warehouse slot"):
        find_warehouse(queued)


@pytest.mark.parametrize("slot", list(Slot))
def test_the_last_at_work_leaves_the_clusters_to_who_airflow_says_is_running(
    world: World, make_run: MakeRun, queued: Run, slot: Slot
) -> None:
    asked: list[str] = []

    def is_under_way(run_id: str) -> bool:
        asked.append(run_id)
        return True

    last = replace(make_run("at_work", lease_s=LEASE_S), is_under_way=is_under_way)
    result = drive(ReleaseSlot(slot), last, world).result
    assert (result["outcome"], result["others"], asked) == ("shared", ["queued"], ["queued"])
    assert drive(TakeInventory(), last, world).result["left"] == []


def test_nobody_is_asked_about_runs_whose_leases_are_live(world: World, make_run: MakeRun) -> None:
    def is_under_way(run_id: str) -> bool:
        raise AssertionError(f"asked about {run_id}")

    run = replace(make_run("run"), is_under_way=is_under_way)
    assert not walk(world, run).red
