"""A person at a run: each thing that people do in Airflow, in each phase of a run, and what becomes of it.

docs/lifecycle.md states what is tested here. Each ends in the same way: nothing is left (after the janitor where
Airflow ends nothing), and a second run is green with the tables of a run that nobody disturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from airflow_lib.janitor import make_pass
from airflow_lib.lifecycle.document import Phase
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.naming import Slot
from airflow_lib.steps import Run
from tests.world import World
from tests.world.people import Attended
from tests.world.pipeline import PIPELINE
from tests.world.sqlite_redshift import read_tables
from tests.world.walk import walk

LEASE_S = 1800
KEEP_ALIVE_S = 900
TABLES = [table.name for table in PIPELINE.warehouse_tables]
SESSIONS = [f"transform.{job.name}" for job in PIPELINE.jobs]

MakeRun = Callable[..., Run]


@dataclass(frozen=True)
class Moment:
    """A phase of a run, caught while `task` is at it: deferred, or in a worker that is `through` with it or not."""

    phase: str
    task: str
    through: bool | None = None
    knowing: str | None = None

    def __str__(self) -> str:
        return self.phase + {None: "", True: ", done", False: ", begun"}[self.through]


PROVISION = Moment("provision", "provision.emr")
TRANSFORM = Moment("transform", "transform.arrivals", knowing="attempt")
LOADING = Moment("load", "load.load_window", through=False)
LOADED = Moment("load", "load.load_window", through=True)
VERIFY = Moment("verify", "verify.arrivals", through=False)
RELEASE = Moment("release", "release.release_warehouse")
MOMENTS = (PROVISION, TRANSFORM, LOADING, LOADED, VERIFY, RELEASE)

LETTING_GO = Moment("release of EMR", "transform.release_emr")  # while the warehouse is loaded

each_moment = pytest.mark.parametrize("moment", MOMENTS, ids=str)


def caught(world: World, run: Run, moment: Moment) -> Attended:
    """A run at that moment."""
    attended = Attended(world, run)
    if moment.through is None:
        beside = {PROVISION: ("provision.warehouse",), TRANSFORM: SESSIONS}.get(moment, ())
        attended.go_until(lambda: attended.waits(moment.task, *beside, knowing=moment.knowing))
    else:
        attended.go_until(lambda: attended.is_next(moment.task))
        attended.start(moment.task, through=moment.through)
    assert attended.walk.errors == {}
    return attended


def left(world: World, run: Run) -> set[str]:
    """What is there although the register names it not."""
    kept = world.register(PIPELINE).warehouse.protected_snapshots
    return {item.name for item in list_owned(world.others, run.environment).owned} - kept


def let_janitor_pass(world: World, run: Run) -> None:
    (sweeper,) = make_pass(run.settings, run.aws, run.services.clock, sleep=world.advance)
    assert sweeper.errors == []


def saved(world: World) -> dict[str, Any]:
    """The tables in the newest snapshot."""
    snapshot = world.register(PIPELINE).warehouse.snapshot
    assert snapshot is not None
    return read_tables(world.warehouses.kept[snapshot], TABLES)


@cache
def undisturbed() -> dict[str, Any]:
    """The tables after a run that nobody disturbed."""
    with World() as world:
        world.put_sources(PIPELINE)
        assert not walk(world, world.run("run1", pipeline=PIPELINE)).red
        return saved(world)


@pytest.fixture(autouse=True, scope="module")
def _known_before_any_other_world() -> None:
    undisturbed()  # two worlds at once would share moto's account


def check_all_is_well(world: World, make_run: MakeRun) -> None:
    """Nothing is left, and a second run is green with the same tables."""
    second = make_run("run2")
    assert left(world, second) == set()
    assert world.emr.live == world.warehouses.live == []
    assert [world.register(PIPELINE).slot(slot).phase for slot in Slot] == [Phase.EMPTY, Phase.EMPTY]
    assert not walk(world, second).red
    assert left(world, second) == set()
    assert saved(world) == undisturbed()


@each_moment
def test_a_run_marked_failed_tears_down_by_itself(world: World, make_run: MakeRun, moment: Moment) -> None:
    attended = caught(world, make_run(), moment)
    attended.mark_failed()
    attended.finish()
    assert attended.walk.red is (
        moment is not RELEASE
    )  # then nothing but teardowns was to come, and they are spared
    assert attended.walk.results["release.inventory"]["left"] == []
    check_all_is_well(world, make_run)


@pytest.mark.parametrize("task", ["provision.lease", "load.create_tables", "load.load_window"])
def test_a_run_marked_failed_between_two_tasks_is_red(world: World, make_run: MakeRun, task: str) -> None:
    attended = Attended(world, make_run())
    attended.go_until(lambda: attended.is_next(task))
    attended.mark_failed()
    attended.finish()
    assert attended.walk.states[task] == "skipped"
    assert attended.walk.states["verdict"] == "failed"
    check_all_is_well(world, make_run)


def test_a_run_marked_failed_before_it_began_makes_nothing(world: World, make_run: MakeRun) -> None:
    attended = Attended(world, make_run())
    attended.mark_failed()
    attended.finish()
    assert set(attended.walk.states.values()) == {"skipped"}
    assert world.wire.calls == []


@each_moment
def test_a_task_marked_failed_makes_the_run_red(world: World, make_run: MakeRun, moment: Moment) -> None:
    run = make_run()
    attended = caught(world, run, moment)
    attended.mark_task_failed(moment.task)
    attended.finish()
    assert attended.walk.states["verdict"] == "failed"
    if moment is RELEASE:  # the drain stopped half-way: told as left, and the janitor's after the lease
        assert attended.walk.results["release.inventory"]["left"]
        world.advance(LEASE_S + 1)
        let_janitor_pass(world, run)
    else:
        assert attended.walk.results["release.inventory"]["left"] == []
    check_all_is_well(world, make_run)


def test_a_stopped_drain_goes_on_when_its_task_is_cleared(world: World, make_run: MakeRun) -> None:
    attended = caught(world, make_run(), RELEASE)
    attended.mark_task_failed(RELEASE.task)
    attended.finish()
    attended.clear(RELEASE.task, downstream=True)
    attended.finish()
    assert attended.walk.results["release.inventory"]["left"] == []
    assert not attended.walk.red
    check_all_is_well(world, make_run)


@pytest.mark.parametrize("downstream", [True, False], ids=["downstream too", "alone"])
@each_moment
def test_a_cleared_task_is_done_again_and_the_run_is_green(
    world: World, make_run: MakeRun, moment: Moment, downstream: bool
) -> None:
    attended = caught(world, make_run(), moment)
    attended.clear(moment.task, downstream=downstream)
    attended.finish()
    assert attended.walk.errors == {}
    assert not attended.walk.red
    assert attended.walk.results["release.inventory"]["left"] == []
    assert saved(world) == undisturbed()
    check_all_is_well(world, make_run)


@pytest.mark.parametrize(
    "task",
    ["plan", "provision.lease", "provision.warehouse", "transform.arrivals", "load.load_window", "verdict"],
)
def test_a_task_cleared_after_the_run_makes_no_cluster_stay(
    world: World, make_run: MakeRun, task: str
) -> None:
    attended = Attended(world, make_run())
    attended.finish()
    attended.clear(task, downstream=False)
    attended.finish()
    assert attended.walk.errors == {}
    assert not attended.walk.red
    check_all_is_well(world, make_run)


@pytest.mark.parametrize("downstream", [True, False])
@pytest.mark.parametrize("task", ["load.staging_arrivals", "load.load_window", "verify.arrivals"])
def test_a_task_cleared_after_the_run_without_its_setups_touches_nothing_and_says_what_to_clear(
    world: World, make_run: MakeRun, task: str, downstream: bool
) -> None:
    attended = Attended(world, make_run())
    attended.finish()
    before = world.tables(PIPELINE)

    attended.clear_alone(task, downstream=downstream)
    attended.finish()

    assert attended.walk.red
    assert "clear the run from provision.lease on, with what is downstream" in attended.walk.error(task)
    assert world.tables(PIPELINE) == before
    assert world.emr.live == world.warehouses.live == []
    attended.clear("provision.lease", downstream=True)
    attended.finish()
    assert not attended.walk.red
    check_all_is_well(world, make_run)


@each_moment
def test_a_cleared_run_begins_anew_and_is_green(world: World, make_run: MakeRun, moment: Moment) -> None:
    attended = caught(world, make_run(), moment)
    attended.clear_all()
    attended.finish()
    assert attended.walk.errors == {}
    assert not attended.walk.red
    assert attended.walk.results["release.inventory"]["left"] == []
    assert saved(world) == undisturbed()
    check_all_is_well(world, make_run)


@pytest.mark.parametrize("outlived_s", [0, 10, 25, 60, 130, 400])
@pytest.mark.parametrize("whole", [True, False], ids=["run", "task"])
@pytest.mark.parametrize("moment", [PROVISION, TRANSFORM, LETTING_GO, RELEASE], ids=str)
def test_triggers_that_outlive_what_was_cleared_do_not_disturb_it(
    world: World, make_run: MakeRun, moment: Moment, whole: bool, outlived_s: float
) -> None:
    attended = caught(world, make_run(), moment)
    if whole:
        attended.clear_all(outlived_s=outlived_s)
    else:
        attended.clear(moment.task, downstream=False, outlived_s=outlived_s)
    attended.finish()
    assert not attended.walk.red
    check_all_is_well(world, make_run)


def test_a_run_that_is_cleared_while_emr_drains_makes_no_other_and_waits_for_no_drain(
    world: World, make_run: MakeRun
) -> None:
    attended = caught(world, make_run(), LETTING_GO)
    attended.clear_all()
    attended.go_until(lambda: "provision.emr" in attended.walk.states)
    assert attended.walk.results["provision.emr"] == {"needed": False}
    assert world.register(PIPELINE).emr.phase is Phase.TEARING_DOWN
    attended.finish()
    assert world.register(PIPELINE).emr.generation == 1
    assert not attended.walk.red
    check_all_is_well(world, make_run)


@each_moment
def test_what_a_deleted_run_held_is_the_janitors(world: World, make_run: MakeRun, moment: Moment) -> None:
    run = make_run()
    caught(world, run, moment).delete()
    let_janitor_pass(world, run)
    assert left(world, run)  # under the lease nothing is touched
    world.advance(LEASE_S + 1)
    let_janitor_pass(world, run)
    if moment in (LOADED, VERIFY):
        assert saved(world) == undisturbed()
    check_all_is_well(world, make_run)


def test_a_deleted_runs_sessions_are_ended_at_once(world: World, make_run: MakeRun) -> None:
    attended = caught(world, make_run(), TRANSFORM)
    attended.delete()
    assert len([call for call in world.wire.calls if call.operation.startswith("DELETE")]) == len(SESSIONS)


@each_moment
def test_a_run_whose_dag_is_paused_for_a_while_goes_on(
    world: World, make_run: MakeRun, moment: Moment
) -> None:
    attended = caught(world, make_run(), moment)
    attended.pause()
    attended.let_pass(LEASE_S / 3)
    begun = set(attended.walk.states)
    attended.let_pass(LEASE_S / 3)
    assert set(attended.walk.states) == begun
    attended.unpause()
    attended.finish()
    assert attended.walk.errors == {}
    assert not attended.walk.red
    assert saved(world) == undisturbed()
    check_all_is_well(world, make_run)


@each_moment
def test_what_a_paused_dag_holds_for_too_long_is_the_janitors(
    world: World, make_run: MakeRun, moment: Moment
) -> None:
    run = make_run()
    attended = caught(world, run, moment)
    attended.pause()
    attended.let_pass(2 * LEASE_S)
    let_janitor_pass(world, run)
    assert left(world, run) == set()
    attended.unpause()
    attended.finish()
    assert attended.walk.red is (moment is not RELEASE)  # the drain was the triggerer's, and ended by itself
    check_all_is_well(world, make_run)


def test_a_run_that_lost_its_leases_while_paused_is_made_good_by_clearing_it(
    world: World, make_run: MakeRun
) -> None:
    run = make_run()
    attended = caught(world, run, TRANSFORM)
    attended.pause()
    attended.let_pass(2 * LEASE_S)
    let_janitor_pass(world, run)
    attended.unpause()
    attended.finish()
    attended.clear_all()
    attended.finish()
    assert not attended.walk.red
    assert saved(world) == undisturbed()


@pytest.mark.parametrize("moment", MOMENTS[:-1], ids=str)
def test_the_last_run_of_a_cancelled_backfill_goes_on_and_nothing_stays(
    world: World, make_run: MakeRun, moment: Moment
) -> None:
    run = make_run(keep_alive_s=KEEP_ALIVE_S)
    attended = caught(world, replace(run, expects_more=True), moment)
    attended.walk.run = run  # Airflow fails those that are queued: no more are expected
    if moment.through is not None:
        attended.clear(moment.task, downstream=False)
    attended.finish()
    assert not attended.walk.red
    assert attended.walk.results["release.inventory"]["left"] == []
    assert (
        world.emr.live == []
    )  # also where it was kept, before the task was cleared, for runs that do not come now
    check_all_is_well(world, make_run)


def test_what_was_kept_for_a_backfill_that_is_cancelled_after_is_the_janitors(
    world: World, make_run: MakeRun
) -> None:
    run = make_run(keep_alive_s=KEEP_ALIVE_S)
    assert not walk(world, replace(run, expects_more=True)).red
    assert (len(world.emr.live), len(world.warehouses.live)) == (1, 1)
    world.advance(KEEP_ALIVE_S + 1)
    let_janitor_pass(world, run)
    check_all_is_well(world, make_run)


def test_a_cleared_task_waits_until_a_deadline_of_its_own(world: World, make_run: MakeRun) -> None:
    attended = caught(world, make_run(), TRANSFORM)
    attended.clear(TRANSFORM.task, downstream=False)
    attended.finish()
    kept = [
        key.rpartition("/")[2] for key in world.objects("logs/immigration/runs/") if "/waits/RunJob" in key
    ]
    assert "RunJob-arrivals-2.json" in kept
    assert "RunJob-arrivals-3.json" in kept
    assert not attended.walk.red
