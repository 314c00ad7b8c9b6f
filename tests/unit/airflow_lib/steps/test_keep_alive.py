"""Which clusters outlive their last run, for whom, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from airflow_lib.lifecycle.document import Phase
from airflow_lib.naming import Slot
from airflow_lib.pipeline import Window
from airflow_lib.steps import Run
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.transform import RunJob
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.spark import write_rows
from tests.world.walk import drive, walk
from tests.world.wire import Kind

MakeRun = Callable[..., Run]
KEEP_ALIVE_S = 600


def worked(world: World, run: Run) -> Run:
    """A run whose sessions are over, before it lets anything go."""
    assert walk(world, run, only="provision").errors == {}
    for job in PIPELINE.jobs:
        drive(RunJob(job.name), run, world)
    return run


def release(world: World, run: Run, slot: Slot, **changes: Any) -> dict[str, Any]:
    return drive(ReleaseSlot(slot), replace(run, **changes), world).result


@pytest.fixture
def done(world: World, make_run: MakeRun) -> Run:
    return worked(world, make_run("run1", keep_alive_s=KEEP_ALIVE_S))


@pytest.mark.parametrize("slot", Slot)
def test_what_further_runs_will_want_is_kept_for_a_while(world: World, done: Run, slot: Slot) -> None:
    result = release(world, done, slot, expects_more=True)
    state = world.register(PIPELINE).slot(slot)
    assert result["outcome"] == "kept"
    assert state.phase is Phase.READY
    assert state.leases == ()
    assert state.keep_alive_until == (world.now() + timedelta(seconds=KEEP_ALIVE_S)).replace(microsecond=0)


@pytest.mark.parametrize("slot", Slot)
def test_where_no_further_run_is_known_the_last_one_tears_down(world: World, done: Run, slot: Slot) -> None:
    assert release(world, done, slot) == {"outcome": "tear_down"}
    assert world.register(PIPELINE).slot(slot).phase is Phase.EMPTY


def test_without_the_setting_nothing_is_kept(world: World, make_run: MakeRun) -> None:
    run = worked(world, make_run("run1", keep_alive_s=0))
    assert release(world, run, Slot.EMR, expects_more=True) == {"outcome": "tear_down"}


def test_a_pipeline_keeps_its_clusters_for_its_own_time(world: World, make_run: MakeRun) -> None:
    run = make_run("run1", pipelines={PIPELINE.name: {"keep_alive_s": KEEP_ALIVE_S}})
    run = worked(world, replace(run, settings=run.settings.for_pipeline(PIPELINE.name)))
    assert release(world, run, Slot.EMR, expects_more=True)["outcome"] == "kept"
    assert release(world, run, Slot.WAREHOUSE) == {"outcome": "tear_down"}


def test_the_last_run_of_all_ends_what_the_ones_before_it_kept(
    world: World, make_run: MakeRun, done: Run
) -> None:
    release(world, done, Slot.WAREHOUSE, expects_more=True)
    last = make_run("run2", keep_alive_s=KEEP_ALIVE_S)
    assert walk(world, last, only="provision").results["provision.lease"]["warehouse"]["outcome"] == "use"
    assert release(world, last, Slot.WAREHOUSE) == {"outcome": "tear_down"}


def test_a_run_whose_window_is_empty_prolongs_nothing(world: World, make_run: MakeRun) -> None:
    def nothing(**given: Any) -> dict[str, Any]:
        return {**write_rows(rows=[], **given), "read": 0, "rejected": {}}

    world.jobs.by_name["arrivals"] = nothing
    run = worked(world, make_run("run1", keep_alive_s=KEEP_ALIVE_S))
    assert release(world, run, Slot.EMR, expects_more=True) == {"outcome": "tear_down"}


def test_a_day_of_a_backfill_without_rows_keeps_clusters_for_the_days_to_come(
    world: World, make_run: MakeRun
) -> None:
    def nothing(**given: Any) -> dict[str, Any]:
        return {**write_rows(rows=[], **given), "read": 0, "rejected": {}}

    world.jobs.by_name["arrivals"] = nothing
    run = worked(world, make_run("run1", keep_alive_s=KEEP_ALIVE_S))
    day = replace(run, is_backfill=True, succeeded=True)
    assert release(world, day, Slot.WAREHOUSE, expects_more=True)["outcome"] == "kept"
    assert release(world, replace(day, succeeded=False), Slot.EMR, expects_more=True) == {
        "outcome": "tear_down"
    }


def test_the_last_run_ends_what_was_kept_though_it_needs_no_emr_itself(
    world: World, make_run: MakeRun, done: Run
) -> None:
    """Runs of one batch: the first computes all, so those after it take no lease on EMR."""
    release(world, done, Slot.EMR, expects_more=True)
    between, last = (make_run(name, keep_alive_s=KEEP_ALIVE_S) for name in ("run2", "run3"))
    assert release(world, between, Slot.EMR, expects_more=True)["outcome"] == "not_held"
    assert world.register(PIPELINE).emr.phase is Phase.READY
    assert release(world, last, Slot.EMR) == {"outcome": "tear_down"}
    assert world.emr.live == []


def test_a_run_that_needs_no_emr_leaves_it_to_those_that_hold_it(
    world: World, make_run: MakeRun, done: Run
) -> None:
    other = make_run("run2", keep_alive_s=KEEP_ALIVE_S)
    assert release(world, other, Slot.EMR)["outcome"] == "not_held"
    assert world.register(PIPELINE).emr.phase is Phase.READY


def test_a_run_that_came_to_nothing_prolongs_nothing(world: World, make_run: MakeRun) -> None:
    run = make_run("run1", keep_alive_s=KEEP_ALIVE_S)
    walk(world, run, only="provision")
    assert release(world, run, Slot.EMR, expects_more=True) == {"outcome": "tear_down"}


def test_a_cluster_that_ended_is_not_kept(world: World, done: Run) -> None:
    world.emr.end(world.emr.all[0], "TERMINATED")
    assert release(world, done, Slot.EMR, expects_more=True) == {"outcome": "tear_down"}


def test_a_cluster_that_cannot_be_looked_at_is_not_kept(world: World, done: Run) -> None:
    world.wire.inject("emr.DescribeCluster", Kind.DENIED)
    assert release(world, done, Slot.EMR, expects_more=True) == {"outcome": "tear_down"}


def test_runs_one_after_the_other_share_both_clusters_and_the_last_one_leaves_nothing(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    for number in (1, 2, 3):
        run = make_run(f"run{number}", keep_alive_s=KEEP_ALIVE_S)
        window = Window(date(2016, 4, number), date(2016, 4, number + 1))
        walked = walk(world, replace(run, window=window, expects_more=number < 3))
        assert walked.errors == {}
        assert walked.results["release.inventory"]["left"] == []
    assert len(world.wire.sent("emr.RunJobFlow")) == 1
    assert len(world.wire.sent("redshift.CreateCluster")) == 1
    assert world.wire.sent("redshift.RestoreFromClusterSnapshot") == []
    assert world.emr.live == []
    assert world.warehouses.live == []
    assert set(*world.warehouses.saved.values()) == {"run1", "run2", "run3"}
