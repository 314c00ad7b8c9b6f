"""A run that has nothing to do is green, makes nothing, and says why; where that is not known for sure, it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from airflow_lib.lifecycle.document import Phase
from airflow_lib.naming import Slot
from airflow_lib.pipeline import Fresh, Severity, Window
from airflow_lib.spark.batch import Batch
from airflow_lib.steps import Done, Failed, Run
from airflow_lib.steps.held import find_idle
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.plan import describe_plan
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.transform import RunJob
from tests.proof.janitor import pass_once
from tests.world import World
from tests.world.account import BUCKET
from tests.world.neighbours import put_malformed_neighbours
from tests.world.pipeline import APRIL, PIPELINE
from tests.world.spark import get, put
from tests.world.walk import drive, walk, walk_all
from tests.world.wire import AirflowGone, Call, Kind

MakeRun = Callable[..., Run]

TOLD = f"s3://{BUCKET}/state/immigration/loads/g1.json"
MAY = Window(date(2016, 5, 1), date(2016, 6, 1))
RELEASES = {"transform.release_emr", "release.release_warehouse", "release.inventory"}


@pytest.fixture
def first(world: World, run: Run) -> Run:
    """A run that has loaded April, and is over."""
    walked = walk(world, run)
    assert not walked.red, walked.errors
    assert walked.idle == ""
    world.wire.calls.clear()
    world.bill.forget()
    return run


def works(world: World, run: Run) -> bool:
    """Whether the run had work; it must be green in any case."""
    walked = walk(world, run)
    assert not walked.red, walked.errors
    return not walked.idle


def test_the_same_window_of_the_same_files_again_is_green_and_makes_nothing(
    world: World, first: Run, make_run: MakeRun
) -> None:
    before, made = world.tables(PIPELINE), len(world.bill.lives_s)
    plan = describe_plan(make_run("run2"))
    walked = walk(world, make_run("run2"))
    assert not walked.red
    assert (
        "holds 2016-04-01 to 2016-05-01 of these 3 objects already, since run run1 loaded them at 2"
        in walked.idle
    )
    assert plan["lines"][-1] == f"nothing to do: {walked.idle}"
    ran = {task for task, state in walked.states.items() if state == "success"}
    assert ran == {"plan", "provision.preflight", "verdict"}
    assert set(walked.states.values()) == {"success", "skipped"}
    assert len(world.bill.lives_s) == made
    assert world.tables(PIPELINE) == before
    assert world.register(PIPELINE).warehouse.generation == 1


def test_it_takes_at_most_thirty_calls(world: World, first: Run, make_run: MakeRun) -> None:
    run = make_run("run2")
    world.wire.calls.clear()
    describe_plan(run)
    assert walk(world, run).idle
    assert len(world.wire.calls) <= 30, [str(call) for call in world.wire.calls]
    changed = [
        call for call in world.wire.calls if call.operation.startswith(("Create", "Put", "Run", "Delete"))
    ]
    assert [call.params["Key"].rpartition("/")[2] for call in changed] == ["batch.json"]


def test_it_may_be_repeated_however_often(world: World, first: Run, make_run: MakeRun) -> None:
    for number in range(3):
        assert not works(world, make_run(f"again{number}"))


def test_another_window_has_work(world: World, first: Run, make_run: MakeRun) -> None:
    assert works(world, replace(make_run("run2"), window=MAY))
    assert not works(world, make_run("run3")), "April is still as it was"


def test_a_part_of_the_window_has_work_for_its_own_output_was_never_loaded(
    world: World, first: Run, make_run: MakeRun
) -> None:
    assert works(world, replace(make_run("run2"), window=Window(date(2016, 4, 1), date(2016, 4, 2))))
    assert works(world, make_run("run3")), "a part of April was loaded from another output"


@pytest.mark.parametrize("name", ["arrivals.csv", "labels.sas", "airports.csv"])
def test_a_source_that_changed_has_work(world: World, first: Run, make_run: MakeRun, name: str) -> None:
    put(f"s3://{BUCKET}/source/immigration/{name}", b"other")
    assert works(world, make_run("run2"))
    assert not works(world, make_run("run3"))


def test_who_forces_a_run_gets_it(world: World, first: Run, make_run: MakeRun) -> None:
    forced = replace(make_run("run2"), force=True)
    assert "nothing_to_do" not in describe_plan(forced)
    assert works(world, forced)


@pytest.mark.parametrize(("severity", "asked"), [(Severity.ERROR, True), (Severity.WARN, False)])
def test_a_source_that_stands_still_is_told_by_the_check_that_is_there_for_it(
    world: World, run: Run, make_run: MakeRun, severity: Severity, asked: bool
) -> None:
    fresh = Fresh("arrivals", "day", max_age_h=24 * 365 * 99, severity=severity)
    pipeline = replace(PIPELINE, checks=(*PIPELINE.checks, fresh))
    assert works(world, replace(run, pipeline=pipeline))
    assert works(world, replace(make_run("run2"), pipeline=pipeline)) == asked


def test_other_sql_has_work(world: World, first: Run, make_run: MakeRun) -> None:
    with patch("airflow_lib.steps.held.hash_sql", return_value="0" * 64):
        outcome = Preflight().begin(make_run("run2"))
    assert isinstance(outcome, Done)
    assert outcome.nothing_to_do == ""


def test_other_code_of_a_job_has_work(world: World, first: Run, make_run: MakeRun) -> None:
    with patch("airflow_lib.steps.transform.hash_code", lambda _: "beef" * 16):
        assert works(world, make_run("run2"))


def test_an_output_that_rejected_more_than_is_allowed_by_now_is_red(
    world: World, first: Run, make_run: MakeRun
) -> None:
    strict = tuple(replace(job, max_rejected=0.0) for job in PIPELINE.jobs)
    run = replace(make_run("run2"), pipeline=replace(PIPELINE, jobs=strict))
    walked = walk(world, run)
    assert walked.states["provision.preflight"] == "failed"
    assert "rejected" in walked.error("provision.preflight")


def test_a_missing_source_is_red_though_the_warehouse_holds_it(
    world: World, first: Run, make_run: MakeRun
) -> None:
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    walked = walk(world, make_run("run2"))
    assert "airports.csv: missing or empty" in walked.error("provision.preflight")


def test_a_snapshot_that_somebody_deleted_holds_nothing(world: World, first: Run, make_run: MakeRun) -> None:
    (snapshot,) = world.others.redshift.describe_cluster_snapshots()["Snapshots"]
    world.others.redshift.delete_cluster_snapshot(SnapshotIdentifier=snapshot["SnapshotIdentifier"])
    outcome = Preflight().begin(make_run("run2"))
    assert isinstance(outcome, Done)
    assert outcome.nothing_to_do == ""


# What is told outside the warehouse


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"version": 1}', b"\xff" * 50])
def test_what_is_told_wrongly_is_not_known(world: World, first: Run, make_run: MakeRun, body: bytes) -> None:
    put(TOLD, body)
    assert works(world, make_run("run2"))
    assert not works(world, make_run("run3"))


@pytest.mark.parametrize("kind", [Kind.DENIED, Kind.ERROR, Kind.THROTTLED])
def test_where_it_cannot_be_told_the_run_is_green_and_the_warehouse_goes(
    world: World, run: Run, make_run: MakeRun, kind: Kind
) -> None:
    def is_telling(call: Call) -> bool:
        """The load has emptied it by then."""
        return str(call.params.get("Key")).endswith("g1.json") and get(TOLD) == b""

    world.wire.inject("s3.PutObject", kind, 100, when=is_telling)
    walked = walk(world, run)
    assert not walked.red, walked.errors
    assert world.warehouses.live == []
    assert get(TOLD) == b""
    world.heal()
    assert works(world, make_run("run2"))
    assert not works(world, make_run("run3"))


def load_only(world: World, run: Run) -> None:
    """All of a run up to its load; what comes after it, a dead run does not."""
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables(), LoadWindow()):
        assert isinstance(drive(step, run, world), Done)


def test_a_run_that_died_after_its_load_tells_nothing_though_one_before_it_did(
    world: World, make_run: MakeRun
) -> None:
    """The warehouse is kept alive by the first run, and torn down by the janitor after the second one is dead."""
    put_malformed_neighbours(world)
    kept = make_run("run1", keep_alive_s=600)
    load_only(world, kept)
    for slot in Slot:
        drive(ReleaseSlot(slot), replace(kept, expects_more=True), world)
    assert get(TOLD), "the first run tells what it loaded"
    put(f"s3://{BUCKET}/source/immigration/airports.csv", b"other")
    load_only(world, make_run("run2", keep_alive_s=600))
    assert get(TOLD) == b""
    world.advance(7200)
    assert pass_once(world) == []
    document = world.register(PIPELINE)
    assert (document.warehouse.phase, document.warehouse.snapshot is not None) == (Phase.EMPTY, True)
    put(f"s3://{BUCKET}/source/immigration/airports.csv", b"x")
    assert works(world, make_run("run3")), "the tables hold the second run's airports"


def test_of_two_runs_that_share_the_warehouse_the_last_one_tells_what_both_loaded(
    world: World, make_run: MakeRun
) -> None:
    runs = [make_run("run1"), replace(make_run("run2"), window=MAY)]
    assert [walked.red for walked in walk_all(world, runs)] == [False, False]
    assert not works(world, make_run("again1"))
    assert not works(world, replace(make_run("again2"), window=MAY))


def test_while_others_hold_the_warehouse_nobody_waits_for_their_load_to_tell_what_is_there(
    world: World, make_run: MakeRun
) -> None:
    one, other = make_run("run1"), make_run("run2")
    load_only(world, one)
    assert walk(world, other, only="provision").errors == {}
    drive(ReleaseSlot(Slot.WAREHOUSE), one, world)
    assert get(TOLD) == b""
    drive(ReleaseSlot(Slot.WAREHOUSE), other, world)
    assert get(TOLD)


def test_a_load_that_cannot_say_that_it_loads_changes_nothing(world: World, run: Run) -> None:
    """Else what was told before it would be believed."""
    world.wire.inject(
        "s3.PutObject", Kind.DENIED, 100, when=lambda call: str(call.params["Key"]).endswith("g1.json")
    )
    walked = walk(world, run)
    assert "loads/g1.json" in walked.error("load.load_window")
    world.heal()
    assert all(rows == [] for rows in world.tables(PIPELINE).values())


def test_where_an_answer_was_never_published_the_next_run_has_work_although_all_is_loaded(
    world: World, make_run: MakeRun
) -> None:
    """Else every run of the same content would be green, and the question never answered."""
    world.wire.inject("warehouse.Unload", Kind.REFUSED, times=30)
    walked = walk(world, make_run("run1"))
    assert walked.states["answers.arrivals_by_airport"] == "failed"
    assert walked.states["load.load_window"] == "success"
    world.wire.faults.clear()
    assert works(world, make_run("run2"))
    assert not works(world, make_run("run3"))


def test_a_lost_generation_is_not_told_of_and_the_one_before_it_is(
    world: World, first: Run, make_run: MakeRun
) -> None:
    """The register names the snapshot that there is: it holds what that generation's copy tells."""
    may = replace(make_run("run2"), window=MAY)
    load_only(world, may)
    drive(ReleaseSlot(Slot.EMR), may, world)
    cluster = world.names(PIPELINE, Slot.WAREHOUSE, 2).cluster
    world.others.redshift.delete_cluster(ClusterIdentifier=cluster, SkipFinalClusterSnapshot=True)
    assert isinstance(drive(ReleaseSlot(Slot.WAREHOUSE), may, world), Failed)
    assert str(world.register(PIPELINE).warehouse.snapshot).endswith("g1")
    assert not works(world, make_run("run4")), "April is in the first generation's snapshot"
    assert works(world, replace(make_run("run5"), window=MAY)), "May was lost"


# What others left


def test_what_a_dead_run_left_goes_with_an_idle_run(world: World, first: Run, make_run: MakeRun) -> None:
    def die(call: Call) -> None:
        if str(call) == "emr.RunJobFlow":
            world.wire.inject("emr.DescribeCluster", Kind.GONE)

    world.wire.watchers.append(die)
    dead = replace(make_run("dead"), window=MAY)
    with pytest.raises(AirflowGone):
        walk(world, dead)
    world.heal()
    world.wire.watchers.clear()
    # Its warehouse is released, as by a person who clears that task; EMR's slot is left with an expired lease.
    drive(ReleaseSlot(Slot.WAREHOUSE), dead, world)
    world.advance(7200)
    assert world.emr.live
    walked = walk(world, make_run("run2"))
    assert walked.idle
    assert not walked.red, walked.errors
    assert {task for task, state in walked.states.items() if state == "success"} >= RELEASES
    assert "transform.arrivals" in {task for task, state in walked.states.items() if state == "skipped"}
    assert world.emr.live == []
    assert world.register(PIPELINE).emr.phase is Phase.EMPTY


def test_a_warehouse_that_is_kept_alive_is_used_and_not_taken_for_held(
    world: World, make_run: MakeRun
) -> None:
    kept = make_run("run1", keep_alive_s=600)
    load_only(world, kept)
    for slot in Slot:
        drive(ReleaseSlot(slot), replace(kept, expects_more=True), world)
    assert works(world, make_run("run2"))


class MayBeEmpty(SimpleNamespace):
    """An intake of which nothing may have come in."""

    may_be_empty = True


def test_where_nothing_has_come_in_there_is_nothing_to_do_and_no_keep_alive_is_prolonged(
    world: World, make_run: MakeRun
) -> None:
    kept = make_run("run1", keep_alive_s=600)
    load_only(world, kept)
    for slot in Slot:
        drive(ReleaseSlot(slot), replace(kept, expects_more=True), world)
    until = world.register(PIPELINE).warehouse.keep_alive_until
    intake: Any = MayBeEmpty()
    empty = replace(
        make_run("run2", keep_alive_s=600), pipeline=replace(PIPELINE, intake=intake), expects_more=True
    )
    batch = Batch(str(empty.source), world.now(), {})
    idle = find_idle(empty, batch, world.register(PIPELINE))
    assert idle is not None
    assert (idle.why, idle.leftovers) == ("nothing has come in", True)
    for slot in Slot:
        drive(ReleaseSlot(slot), replace(make_run("run2", keep_alive_s=600), expects_more=True), world)
    assert world.register(PIPELINE).warehouse.keep_alive_until == until
    world.advance(601)
    for slot in Slot:
        assert drive(ReleaseSlot(slot), make_run("run3"), world).result == {"outcome": "tear_down"}


def test_standing_files_that_are_not_there_are_no_empty_batch(world: World, run: Run) -> None:
    batch = Batch(str(run.source), world.now(), {})
    assert find_idle(run, batch, world.register(PIPELINE)) is None


def test_a_register_that_cannot_be_read_tells_nothing(world: World, first: Run, make_run: MakeRun) -> None:
    register = f"s3://{BUCKET}/state/immigration/register.json"
    put(register, b"no JSON")
    outcome = Preflight().begin(make_run("run2"))
    assert isinstance(outcome, Done)
    assert outcome.nothing_to_do == ""


def test_april_is_what_the_runs_above_load() -> None:
    assert APRIL.start == date(2016, 4, 1)
