"""Releasing: who tears down, what must be gone, what must never be lost, and what is never touched."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from moto.redshift.models import Cluster

from airflow_lib.errors import CredentialsRefused, LeaseLost, RegisterError, ResourceError, TeardownError
from airflow_lib.lifecycle.document import Phase
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.lifecycle.teardown import tear_down_slot
from airflow_lib.naming import Slot, staging_schema
from airflow_lib.pipeline import Window
from airflow_lib.steps import Done, Failed, Run, Waiting
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.provision import EnsureEmr, EnsureWarehouse, TakeLease
from airflow_lib.steps.release import ReleaseSlot, TakeInventory
from airflow_lib.steps.transform import RunJob
from tests.world import World
from tests.world.emr_clusters import Reason
from tests.world.foreign import ForeignResources
from tests.world.pipeline import PIPELINE
from tests.world.sqlite_redshift import read_schemas
from tests.world.walk import drive, walk, walk_all
from tests.world.wire import Call, Killed, Kind

EMR, WAREHOUSE = ReleaseSlot(Slot.EMR), ReleaseSlot(Slot.WAREHOUSE)
SNAPSHOT = "mayfly-dev-immigration-warehouse-final-g{}"
MAY = Window(date(2016, 5, 1), date(2016, 6, 1))
MakeRun = Callable[..., Run]


def provide(world: World, *runs: Run) -> None:
    for run in runs:
        assert walk(world, run, only="provision").errors == {}


def provide_slot(world: World, run: Run, release: ReleaseSlot = EMR) -> None:
    """The one cluster that `release` gives up."""
    drive(TakeLease(), run, world)
    drive(EnsureEmr() if release is EMR else EnsureWarehouse(), run, world)


def load(world: World, run: Run) -> None:
    """The run's rows are in the warehouse, and its staging is."""
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables(), LoadWindow()):
        assert isinstance(drive(step, run, world), Done)


def schemas(world: World, warehouse: Cluster) -> set[str]:
    return read_schemas(world.warehouses.contents[warehouse.cluster_identifier])


def left(world: World, run: Run) -> set[str]:
    """What of the environment is in the account, by name."""
    return {item.name for item in list_owned(world.others, run.environment).owned}


def phases(world: World) -> list[Phase]:
    document = world.register(PIPELINE)
    return [document.slot(slot).phase for slot in Slot]


def test_who_is_not_the_last_deletes_nothing(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    provide(world, first, second)
    before = left(world, first)
    for step in (EMR, WAREHOUSE):
        assert drive(step, first, world).result == {"outcome": "shared", "others": ["run2"]}
    assert left(world, first) == before
    assert phases(world) == [Phase.READY, Phase.READY]


def test_the_last_one_leaves_the_final_snapshot_and_nothing_else(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    provide(world, first, second)
    for run in (first, second):
        for step in (EMR, WAREHOUSE):
            assert isinstance(drive(step, run, world), Done)
    assert left(world, first) == {SNAPSHOT.format(1)}
    assert phases(world) == [Phase.EMPTY, Phase.EMPTY]


def test_the_snapshot_is_named_before_the_slot_is_empty_and_only_once_it_is_available(
    world: World, run: Run
) -> None:
    provide_slot(world, run, WAREHOUSE)
    seen: list[tuple[Phase, str | None, str | None]] = []

    def watch(_: Call) -> None:
        state = world.register(PIPELINE).warehouse
        seen.append((state.phase, state.snapshot, world.warehouses.snapshots.get(SNAPSHOT.format(1))))

    world.wire.watchers.append(watch)
    drive(WAREHOUSE, run, world)
    watch(world.wire.calls[-1])
    assert (Phase.TEARING_DOWN, None, "creating") in seen
    assert (Phase.TEARING_DOWN, SNAPSHOT.format(1), "available") in seen
    assert all(state == "available" for _, named, state in seen if named)
    assert all(named for phase, named, _ in seen if phase is Phase.EMPTY)


def test_the_final_snapshot_bears_our_tags(world: World, run: Run) -> None:
    walk(world, run)
    (snapshot,) = list_owned(world.others, run.environment).owned
    assert snapshot.tags["mayfly:generation"] == "1"


def test_old_snapshots_are_pruned_but_never_the_named_one_nor_its_predecessor(
    world: World, make_run: MakeRun
) -> None:
    for number in (1, 2, 3, 4):
        world.forget_held()
        assert not walk(world, make_run(f"run{number}")).red
    warehouse = world.register(PIPELINE).warehouse
    assert (warehouse.snapshot, warehouse.predecessor) == (SNAPSHOT.format(4), SNAPSHOT.format(3))
    assert set(world.warehouses.snapshots) == {SNAPSHOT.format(3), SNAPSHOT.format(4)}
    assert world.warehouses.saved[SNAPSHOT.format(4)] == {"run1", "run2", "run3", "run4"}


def test_an_old_snapshot_that_cannot_be_deleted_does_not_close_the_environment(
    world: World, make_run: MakeRun
) -> None:
    world.wire.inject("redshift.DeleteClusterSnapshot", Kind.DENIED, times=math.inf)
    walks = []
    for number in (1, 2, 3):
        world.forget_held()
        walks.append(walk(world, make_run(f"run{number}")))
    assert [walked.states["release.release_warehouse"] for walked in walks] == ["success"] * 3
    assert phases(world) == [Phase.EMPTY, Phase.EMPTY]
    assert walks[-1].states["release.inventory"] == "failed"


@pytest.mark.parametrize(
    ("step", "operation", "named"),
    [
        (EMR, "iam.DeleteInstanceProfile", "mayfly-dev-immigration-emr-ec2-g1"),
        (EMR, "ec2.DeleteSecurityGroup", "mayfly-dev-immigration-emr-core-g1"),
        (EMR, "emr.TerminateJobFlows", "mayfly-dev-immigration-emr-g1"),
        (WAREHOUSE, "redshift.DeleteCluster", "mayfly-dev-immigration-warehouse-g1"),
        (WAREHOUSE, "redshift.DeleteClusterSubnetGroup", "mayfly-dev-immigration-warehouse-g1"),
        (WAREHOUSE, "iam.DeleteRole", "mayfly-dev-immigration-warehouse-copy-g1"),
    ],
)
def test_what_may_not_be_deleted_is_named_and_gone_once_access_returns(
    world: World, run: Run, step: ReleaseSlot, operation: str, named: str
) -> None:
    provide_slot(world, run, step)
    fault = world.wire.inject(
        operation, Kind.DENIED, times=math.inf, when=lambda call: named in _about(world, call)
    )
    with pytest.raises(TeardownError, match=named) as caught:
        drive(step, run, world)
    assert re.search("AccessDenied|UnauthorizedOperation", str(caught.value))  # EC2 has its own code for it
    slot = "-emr-" if step is EMR else "-warehouse-"
    others = {name for name in left(world, run) if slot in name and "final" not in name} - {named}
    if not operation.startswith(("emr.", "redshift.DeleteCluster")):
        assert others <= {"mayfly-dev-immigration-emr-ec2-g1"}  # a role that its profile still holds
    fault.times = 0
    assert isinstance(drive(step, run, world), Done)
    assert not {name for name in left(world, run) if slot in name and "final" not in name}


def _about(world: World, call: Call) -> str:
    """The name of what a call is about."""
    told = str(dict(call.params))
    for group in world.others.ec2.describe_security_groups()["SecurityGroups"]:
        told = told.replace(group["GroupId"], group["GroupName"])
    for cluster in world.emr.all:
        told = told.replace(cluster.id, cluster.name)
    return told


def test_a_throttled_teardown_goes_on(world: World, run: Run) -> None:
    provide_slot(world, run)
    for operation in ("iam.DeleteRole", "ec2.DeleteSecurityGroup", "emr.TerminateJobFlows"):
        world.wire.inject(operation, Kind.THROTTLED, times=7)
    assert isinstance(drive(EMR, run, world), Done)
    assert not {name for name in left(world, run) if "-emr-" in name}


@pytest.mark.parametrize("operation", ["emr.TerminateJobFlows", "ec2.DeleteSecurityGroup", "iam.DeleteRole"])
def test_a_teardown_whose_credentials_expire_goes_on_once_they_are_renewed(
    world: World, run: Run, operation: str
) -> None:
    provide_slot(world, run)
    expired = world.wire.inject(operation, Kind.REFUSED, times=math.inf, code="ExpiredToken")
    outcome = EMR.begin(run)
    for _ in range(8):
        world.advance(60)
        assert isinstance(outcome, Waiting)
        outcome = EMR.poll(run, outcome.state)
    assert isinstance(outcome, Waiting)
    assert outcome.reopen
    assert "AWS answered ExpiredToken" in outcome.what
    expired.times = 0  # renewed
    while isinstance(outcome, Waiting):
        world.advance(outcome.poll_s)
        outcome = EMR.poll(run, outcome.state)
    assert isinstance(outcome, Done)
    assert not {name for name in left(world, run) if "-emr-" in name}


def test_a_release_that_cannot_begin_for_its_credentials_says_so_and_begins_once_they_are_renewed(
    world: World, run: Run
) -> None:
    provide_slot(world, run)
    world.wire.inject("s3.PutObject", Kind.REFUSED, code="ExpiredToken")
    with pytest.raises(CredentialsRefused, match="AWS answered ExpiredToken"):
        EMR.begin(run)
    assert isinstance(drive(EMR, run, world), Done)
    assert not {name for name in left(world, run) if "-emr-" in name}


@pytest.mark.parametrize("kind", [Kind.LOST, Kind.ERROR, Kind.TIMEOUT])
def test_deletes_whose_answers_fail_once_are_made_good(world: World, run: Run, kind: Kind) -> None:
    provide_slot(world, run)
    for operation in (
        "emr.TerminateJobFlows",
        "ec2.DeleteSecurityGroup",
        "iam.DeleteInstanceProfile",
        "iam.DeleteRole",
        "s3.PutObject",
    ):
        world.wire.inject(operation, kind)
    assert isinstance(drive(EMR, run, world), Done)
    assert not {name for name in left(world, run) if "-emr-" in name}


def test_a_teardown_whose_run_died_is_finished_by_the_next_run(world: World, make_run: MakeRun) -> None:
    dead, heir = make_run("run1"), make_run("run2")
    provide(world, dead)
    load(world, replace(dead, window=MAY))  # the heir has something left to compute
    assert isinstance(EMR.begin(dead), Waiting)
    assert isinstance(WAREHOUSE.begin(dead), Waiting)  # and then nobody polls

    began = world.now()
    walked = walk(world, heir)
    assert walked.errors == {}
    assert (world.now() - began).total_seconds() > 1800
    assert walked.results["provision.lease"]["warehouse"] == {"outcome": "create", "generation": 2}
    assert left(world, heir) == {SNAPSHOT.format(1), SNAPSHOT.format(2)}
    assert world.warehouses.saved[SNAPSHOT.format(2)] == {"run1", "run2"}


def test_a_teardown_that_resumes_too_late_touches_nothing(world: World, make_run: MakeRun) -> None:
    late, heir = make_run("run1"), make_run("run2")
    provide_slot(world, late)
    waiting = EMR.begin(late)
    assert isinstance(waiting, Waiting)
    world.advance(1801)
    drive(TakeLease(), heir, world)  # finishes the teardown, and opens the next generation
    drive(EnsureEmr(), heir, world)
    world.wire.calls.clear()
    with pytest.raises(LeaseLost):
        EMR.poll(late, waiting.state)
    assert not [call for call in world.wire.calls if call.operation.startswith(("Delete", "Terminate"))]
    assert [cluster.name for cluster in world.emr.live] == ["mayfly-dev-immigration-emr-g2"]


@pytest.mark.parametrize(
    "operation",
    ["emr.TerminateJobFlows", "iam.DeleteRole", "s3.PutObject"],
)
@pytest.mark.parametrize("kind", [Kind.KILLED_BEFORE, Kind.KILLED_AFTER])
def test_a_retry_finishes_what_a_killed_release_began(
    world: World, run: Run, operation: str, kind: Kind
) -> None:
    provide_slot(world, run)
    world.wire.inject(operation, kind)
    with pytest.raises(Killed):
        drive(EMR, run, world)
    assert isinstance(drive(EMR, run, world), Done)
    assert not {name for name in left(world, run) if "-emr-" in name}
    assert phases(world)[0] is Phase.EMPTY


def test_a_lost_final_snapshot_is_reported_and_the_one_before_it_stays_recorded(
    world: World, make_run: MakeRun
) -> None:
    walk(world, make_run("run1"))
    world.forget_held()
    run = make_run("run2")
    provide(world, run)
    world.warehouses.failing_snapshots = 1
    outcome = drive(WAREHOUSE, run, world)
    assert isinstance(outcome, Failed)
    assert SNAPSHOT.format(2) in outcome.message
    assert "run the lost windows again" in outcome.message
    assert outcome.result["lost"] == outcome.message
    warehouse = world.register(PIPELINE).warehouse
    assert (warehouse.phase, warehouse.snapshot) == (Phase.EMPTY, SNAPSHOT.format(1))


def test_a_first_snapshot_that_was_lost_does_not_close_the_environment(
    world: World, make_run: MakeRun
) -> None:
    world.warehouses.failing_snapshots = 1
    assert walk(world, make_run("run1")).red
    assert not walk(world, make_run("run2")).red
    assert world.register(PIPELINE).warehouse.snapshot == SNAPSHOT.format(2)


def test_a_run_whose_rows_were_lost_is_red(world: World, run: Run) -> None:
    world.warehouses.failing_snapshots = 1
    walked = walk(world, run)
    assert walked.states["release.release_warehouse"] == "failed"
    assert walked.states["release.inventory"] == "success"
    assert walked.red


def test_staging_that_cannot_be_dropped_does_not_keep_the_warehouse_alive(world: World, run: Run) -> None:
    provide_slot(world, run, WAREHOUSE)
    world.wire.inject("warehouse.Connect", Kind.ERROR, times=math.inf)
    assert isinstance(drive(WAREHOUSE, run, world), Done)
    assert world.warehouses.live == []


def test_a_runs_own_staging_is_dropped(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    provide(world, first, second)
    for run in (first, second):
        load(world, run)
    (warehouse,) = world.warehouses.live
    assert schemas(world, warehouse) == {staging_schema("run1"), staging_schema("run2")}
    drive(WAREHOUSE, first, world)
    assert schemas(world, warehouse) == {staging_schema("run2")}


def test_releasing_twice_is_harmless(world: World, run: Run) -> None:
    provide(world, run)
    for step in (EMR, WAREHOUSE):
        drive(step, run, world)
        assert drive(step, run, world).result == {"outcome": "not_held", "others": []}
    assert left(world, run) == {SNAPSHOT.format(1)}


def test_a_run_without_a_lease_touches_nothing(world: World, make_run: MakeRun) -> None:
    provide(world, make_run("run1"))
    other = make_run("run2")
    world.wire.calls.clear()
    for step in (EMR, WAREHOUSE):
        assert drive(step, other, world).result == {"outcome": "not_held", "others": []}
    assert {str(call) for call in world.wire.calls} == {"s3.GetObject"}


@pytest.mark.parametrize("next_phase", [Phase.CREATING, Phase.READY])
def test_a_late_teardown_does_not_touch_the_next_generation_of_its_own_run(
    world: World, run: Run, next_phase: Phase
) -> None:
    """The trigger of a release outlives its task, which was cleared with the whole run."""
    world.wire.lag.lag_s = 0  # not about IAM
    provide_slot(world, run)
    late = EMR.begin(run)
    assert isinstance(late, Waiting)
    drive(EMR, run, world)
    drive(TakeLease(), run, world)
    EnsureEmr().begin(run)
    if next_phase is Phase.READY:
        drive(EnsureEmr(), run, world)
    with pytest.raises(LeaseLost):
        EMR.poll(run, late.state)
    assert [one.name for one in world.emr.live] == ["mayfly-dev-immigration-emr-g2"]
    assert world.register(PIPELINE).emr.phase is next_phase


def test_nothing_is_deleted_of_a_generation_that_is_not_being_torn_down(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    drive(TakeLease(), run, world)
    EnsureEmr().begin(run)
    with pytest.raises(LeaseLost, match="is not tearing down"):
        tear_down_slot(run.holder, Slot.EMR, 1)
    assert len(world.emr.live) == 1


def test_a_lease_that_cannot_be_given_up_names_what_it_holds(world: World, make_run: MakeRun) -> None:
    """Two runs hold the slot, so each one's inventory tells of it as kept for the other."""
    first, second = make_run("run1"), make_run("run2")
    provide(world, first, second)
    world.wire.inject("s3.PutObject", Kind.DENIED, times=math.inf)
    with pytest.raises(RegisterError, match="AWS answered AccessDenied") as caught:
        drive(EMR, first, world)
    for name in left(world, first):
        assert (name in str(caught.value)) is ("-emr-" in name)


def test_a_creator_that_failed_takes_away_what_it_made(world: World, run: Run) -> None:
    world.emr.failures.append(Reason("INTERNAL_ERROR", "the master node died"))
    walked = walk(world, run)
    assert walked.states["provision.emr"] == "failed"
    assert walked.states["transform.arrivals"] == "upstream_failed"
    assert walked.states["transform.release_emr"] == "success"
    assert walked.red
    assert left(world, run) == {SNAPSHOT.format(1)}


def test_a_slot_that_does_not_empty_ends_at_a_deadline_that_names_what_is_left(
    world: World, make_run: MakeRun
) -> None:
    run = make_run(emr={"delete_timeout_s": 300})
    provide_slot(world, run)
    world.wire.inject("iam.DeleteRole", Kind.REFUSED, times=math.inf, code="DeleteConflict")
    with pytest.raises(TeardownError, match="mayfly-dev-immigration-emr-service-g1"):
        drive(EMR, run, world)


def test_a_warehouse_that_is_still_being_made_is_deleted_when_it_can_be(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)
    assert isinstance(EnsureWarehouse().begin(run), Waiting)
    assert isinstance(drive(WAREHOUSE, run, world), Done)
    assert left(world, run) == set()
    assert world.register(PIPELINE).warehouse.snapshot is None


def test_three_overlapping_runs_make_one_of_each_and_leave_nothing(world: World, make_run: MakeRun) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    walks = walk_all(world, [make_run(f"run{number}") for number in (1, 2, 3)])
    assert [walked.red for walked in walks] == [False, False, False]
    assert len(world.wire.sent("emr.RunJobFlow")) == 1
    assert len(world.wire.sent("redshift.CreateCluster")) == 1
    assert world.wire.sent("redshift.RestoreFromClusterSnapshot") == []
    assert left(world, walks[0].run) == {SNAPSHOT.format(1)}
    assert world.warehouses.saved[SNAPSHOT.format(1)] == {"run1", "run2", "run3"}


def test_nothing_that_is_not_ours_is_touched_by_a_whole_life(world: World, make_run: MakeRun) -> None:
    foreign = ForeignResources(world)
    assert not walk(world, make_run("run1")).red
    world.emr.failures.append(Reason("VALIDATION_ERROR", "Service role mayfly does not exist"))
    world.emr.listed_after_s = 150
    world.wire.inject("emr.RunJobFlow", Kind.LOST)
    put = make_run("run2")
    world.others.s3.put_object(Bucket="mayfly-world", Key="source/immigration/arrivals.csv", Body=b"new")
    assert not walk(world, put).red
    assert not walk(world, make_run("run3")).red
    assert not foreign.touched


def test_the_inventory_after_a_clean_run_has_only_the_snapshot_and_is_kept_with_the_run(
    world: World, run: Run
) -> None:
    walked = walk(world, run)
    kept = f"Redshift snapshot {SNAPSHOT.format(1)}, available"
    assert walked.results["release.inventory"] == {"left": [], "kept": [kept]}
    (key,) = [key for key in world.objects("logs/immigration/runs/") if key.endswith("/inventory.json")]
    body = world.others.s3.get_object(Bucket="mayfly-world", Key=key)["Body"].read()
    assert json.loads(body) == {"run_id": "run1", "left": [], "kept": [kept]}


def test_something_left_makes_the_inventory_fail_and_is_named(world: World, run: Run) -> None:
    world.wire.inject("iam.DeleteRole", Kind.DENIED, times=math.inf)
    walked = walk(world, run)
    assert walked.states["transform.release_emr"] == "failed"
    assert walked.states["release.inventory"] == "failed"
    assert walked.red
    assert "mayfly-dev-immigration-warehouse-copy-g1" in walked.error("release.inventory")
    assert "mayfly-dev-immigration-emr-service-g1" in walked.error("release.inventory")
    assert SNAPSHOT.format(1) in walked.results["release.inventory"]["kept"][0]


def test_what_another_run_still_uses_is_kept_and_not_left(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    provide(world, first, second)
    for step in (EMR, WAREHOUSE):
        drive(step, first, world)
    result = drive(TakeInventory(), first, world).result
    assert result["left"] == []
    assert any("mayfly-dev-immigration-emr-g1" in line for line in result["kept"])


def test_a_run_without_a_lease_takes_away_what_a_dead_one_left(world: World, make_run: MakeRun) -> None:
    dead, other = make_run("run1"), make_run("run2")
    provide(world, dead)
    world.advance(dead.settings.mayfly.lease_s + 1)
    for step in (EMR, WAREHOUSE):
        assert drive(step, other, world).result == {"outcome": "tear_down"}
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_an_inventory_without_a_register_names_all_that_is_there(world: World, run: Run) -> None:
    provide(world, run)
    there = left(world, run)
    world.wire.inject("s3.GetObject", Kind.DENIED, times=math.inf)
    with pytest.raises(ResourceError, match="is not known for sure") as told:
        drive(TakeInventory(), run, world)
    assert all(name in str(told.value) for name in there)


def test_what_cannot_be_listed_is_named_by_the_register(world: World, run: Run) -> None:
    provide(world, run)
    world.wire.inject("iam.ListRoles", Kind.DENIED, times=math.inf)
    with pytest.raises(ResourceError, match="IAM role: cannot be listed") as told:
        drive(TakeInventory(), run, world)
    assert "mayfly-dev-immigration-emr-service-g1" in str(told.value)
    assert "mayfly-dev-immigration-emr-master-g1" in str(told.value)


def test_what_cannot_be_listed_is_named_without_a_register_by_what_is_listed(world: World, run: Run) -> None:
    """The proof met it: security groups refused and the register throttled, both for ever."""
    provide(world, run)
    there = left(world, run)
    world.wire.inject("s3.GetObject", Kind.THROTTLED, times=math.inf)
    world.wire.inject("ec2.DescribeSecurityGroups", Kind.DENIED, times=math.inf)
    with pytest.raises(ResourceError, match="security group: cannot be listed") as told:
        drive(TakeInventory(), run, world)
    assert [name for name in there if name not in str(told.value)] == []


def test_an_inventory_that_cannot_be_stored_still_names_what_is_left(world: World, run: Run) -> None:
    provide(world, run)
    world.wire.inject("s3.PutObject", Kind.DENIED, times=math.inf)
    with pytest.raises(ResourceError, match="cannot be stored") as told:
        drive(TakeInventory(), run, world)
    assert "mayfly-dev-immigration-emr-service-g1" in str(told.value)
