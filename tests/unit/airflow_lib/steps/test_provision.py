"""From nothing to two clusters: what is made, in which order, and who makes it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from airflow_lib.errors import (
    LeaseLost,
    LivyDenied,
    ResourceError,
    TerminalState,
    UnknownState,
    WaitTimeout,
    WarehouseError,
)
from airflow_lib.lifecycle.document import LivyRecord, Phase
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_GENERATION, Slot, generation_of, slot_of
from airflow_lib.steps import Done, Run, Waiting
from airflow_lib.steps.provision import (
    EnsureEmr,
    EnsureWarehouse,
    TakeLease,
)
from airflow_lib.steps.release import ReleaseSlot
from tests.world import World
from tests.world.account import BUCKET
from tests.world.emr_clusters import Reason
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk
from tests.world.wire import Call, Killed, Kind

# What makes something, and the parameter that names it.
MAKERS = {
    "iam.CreateRole": "RoleName",
    "iam.CreateInstanceProfile": "InstanceProfileName",
    "ec2.CreateSecurityGroup": "GroupName",
    "emr.RunJobFlow": "Name",
    "redshift.CreateClusterSubnetGroup": "ClusterSubnetGroupName",
    "redshift.CreateCluster": "ClusterIdentifier",
}
# Deadlines that are soon over.
HASTY = {
    "emr": {"create_timeout_s": 300, "delete_timeout_s": 100},
    "warehouse": {"create_timeout_s": 300, "delete_timeout_s": 100},
}
MakeRun = Callable[..., Run]


def made(world: World) -> list[str]:
    return [str(call.params[MAKERS[str(call)]]) for call in world.wire.calls if str(call) in MAKERS]


def owned_ids(world: World, run: Run) -> set[tuple[str, str]]:
    return {(item.name, item.id) for item in list_owned(world.others, run.environment).owned}


def provide(world: World, run: Run) -> None:
    """Both clusters, by the shortest way."""
    walked = walk(world, run, only="provision")
    assert walked.errors == {}


def lease(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)


def test_a_clean_run_makes_each_thing_once(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    provide(world, run)
    prefix = "mayfly-dev-immigration-"
    assert sorted(made(world)) == sorted(
        prefix + name
        for name in (
            "emr-service-g1",
            "emr-ec2-g1",
            "emr-ec2-g1",  # the role and its profile
            "emr-master-g1",
            "emr-core-g1",
            "emr-access-g1",
            "emr-g1",
            "warehouse-copy-g1",
            "warehouse-sg-g1",
            "warehouse-g1",  # the subnet group
            "warehouse-g1",  # the cluster
        )
    )
    document = world.register(PIPELINE)
    assert [document.slot(slot).phase for slot in Slot] == [Phase.READY, Phase.READY]


def test_a_generation_is_open_in_the_register_before_anything_of_it_is_created(
    world: World, run: Run
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    too_early: list[str] = []

    def watch(call: Call) -> None:
        if str(call) in MAKERS:
            name = str(call.params[MAKERS[str(call)]])
            slot, generation = slot_of(run.environment, name), generation_of(run.environment, name)
            state = world.register(PIPELINE).slot(slot or Slot.EMR)
            is_open = (state.phase, state.owner, state.generation) == (Phase.CREATING, run.run_id, generation)
            too_early.extend([] if is_open else [name])

    world.wire.watchers.append(watch)
    provide(world, run)
    assert len(made(world)) == 11
    assert too_early == []


def test_everything_bears_the_tags_of_its_environment_and_generation(world: World, run: Run) -> None:
    provide(world, run)
    owned = list_owned(world.others, run.environment).owned
    assert {item.name for item in owned} == set(made(world))
    for item in owned:
        assert item.tags[TAG_ENVIRONMENT] == "dev-immigration"
        assert item.tags[TAG_GENERATION] == "1"
        assert item.expires_at is not None


def test_a_second_run_makes_nothing_and_uses_both(world: World, make_run: MakeRun) -> None:
    provide(world, make_run("run1"))
    before = made(world)
    walked = walk(world, make_run("run2"), only="provision")
    assert walked.errors == {}
    assert made(world) == before
    assert walked.results["provision.lease"]["emr"] == {"outcome": "use", "generation": 1}
    document = world.register(PIPELINE)
    for slot in Slot:
        assert {one.run for one in document.slot(slot).leases} == {"run1", "run2"}


def test_where_every_output_is_complete_no_emr_is_leased_or_made(world: World, make_run: MakeRun) -> None:
    walk(world, make_run("run1"))
    world.wire.calls.clear()
    walked = walk(world, make_run("run2"))
    assert walked.errors == {}
    assert walked.results["provision.emr"] == {"needed": False}
    assert walked.results["transform.arrivals"]["reused"] is True
    assert world.wire.sent("emr.RunJobFlow") == []
    assert len(world.emr.all) == 1


def test_a_run_that_waits_uses_what_the_creator_made(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    lease(world, first)
    lease(world, second)
    waiting = EnsureEmr().begin(second)
    assert isinstance(waiting, Waiting)
    assert "run1" in waiting.what
    drive(EnsureEmr(), first, world)
    assert isinstance(EnsureEmr().poll(second, waiting.state), Done)
    assert len(world.emr.all) == 1


def test_a_waiting_run_takes_over_from_a_dead_creator_and_adopts_what_is_recorded(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    dead, heir = make_run("run1"), make_run("run2")
    lease(world, dead)
    assert isinstance(EnsureEmr().begin(dead), Waiting)
    assert isinstance(EnsureWarehouse().begin(dead), Waiting)
    before = owned_ids(world, dead)

    lease(world, heir)
    assert drive(EnsureEmr(), heir, world).result == {
        "cluster": "mayfly-dev-immigration-emr-g1",
        "generation": 1,
    }
    assert isinstance(drive(EnsureWarehouse(), heir, world), Done)
    assert owned_ids(world, heir) == before
    assert len(world.emr.all) == 1


def test_the_heir_of_a_creator_that_died_before_the_answer_finds_the_cluster(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    dead, heir = make_run("run1"), make_run("run2")
    lease(world, dead)
    world.wire.inject("emr.RunJobFlow", Kind.KILLED_AFTER)
    with pytest.raises(Killed):
        EnsureEmr().begin(dead)
    lease(world, heir)
    assert isinstance(drive(EnsureEmr(), heir, world), Done)
    assert len(world.emr.all) == 1
    assert world.register(PIPELINE).emr.cluster_id == world.emr.all[0].id


def test_the_heir_of_a_creator_whose_cluster_failed_makes_the_next_generation(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    dead, heir = make_run("run1"), make_run("run2")
    lease(world, dead)
    world.emr.failures.append(Reason("INSTANCE_FAILURE", "the master node died"))
    assert isinstance(EnsureEmr().begin(dead), Waiting)
    world.advance(dead.settings.mayfly.lease_s + 1)
    assert [one.state for one in world.emr.all] == ["TERMINATED_WITH_ERRORS"]
    lease(world, heir)
    assert drive(EnsureEmr(), heir, world).result["generation"] == 2
    assert [one.state for one in world.emr.all] == ["TERMINATED_WITH_ERRORS", "WAITING"]


def test_a_ready_cluster_that_has_ended_is_replaced_once_nobody_else_holds_it(
    world: World, make_run: MakeRun
) -> None:
    """The run that used it could not release it: its lease is alive, and nobody renews it."""
    dead, other = make_run("run1"), make_run("run2")
    provide(world, dead)
    world.emr.end(world.emr.live[0], "TERMINATED_WITH_ERRORS", Reason("INSTANCE_FAILURE", "the master died"))
    lease(world, other)
    outcome = EnsureEmr().begin(other)
    assert isinstance(outcome, Waiting)
    assert "mayfly-dev-immigration-emr-g1 has ended" in outcome.what
    assert "the master died" in outcome.what
    assert "run1" in outcome.what
    assert drive(EnsureEmr(), other, world).result["generation"] == 2
    assert [one.name for one in world.emr.live] == ["mayfly-dev-immigration-emr-g2"]


def test_of_two_runs_that_wait_for_a_cluster_that_has_ended_one_replaces_it(
    world: World, make_run: MakeRun
) -> None:
    first, second = make_run("run1"), make_run("run2")
    provide(world, first)
    lease(world, second)
    world.emr.end(world.emr.live[0], "TERMINATED_WITH_ERRORS", Reason("INSTANCE_FAILURE", "the master died"))
    for run in (first, second):
        assert isinstance(EnsureEmr().begin(run), Waiting)
    assert drive(EnsureEmr(), first, world).result["generation"] == 2
    assert drive(EnsureEmr(), second, world).result["generation"] == 2
    assert len(world.emr.live) == 1


def test_a_cluster_that_ends_with_errors_tells_awss_reason_and_what_to_do(world: World, run: Run) -> None:
    lease(world, run)
    world.emr.failures.append(Reason("BOOTSTRAP_FAILURE", "bootstrap action 1 returned 7"))
    with pytest.raises(TerminalState, match="bootstrap action 1 returned 7") as caught:
        drive(EnsureEmr(), run, world)
    assert "Read the bootstrap logs" in str(caught.value)


def test_a_cluster_that_met_roles_too_young_is_asked_for_again_in_the_next_generation(
    world: World, run: Run
) -> None:
    lease(world, run)
    world.emr.failures.append(Reason("VALIDATION_ERROR", "Service role mayfly does not exist"))
    outcome = drive(EnsureEmr(), run, world)
    assert outcome.result["generation"] == 2
    assert [(one.name, one.state) for one in world.emr.all] == [
        ("mayfly-dev-immigration-emr-g1", "TERMINATED_WITH_ERRORS"),
        ("mayfly-dev-immigration-emr-g2", "WAITING"),
    ]
    names = {item.name for item in list_owned(world.others, run.environment).owned}
    assert not {name for name in names if "-emr-" in name and name.endswith("-g1")}


LAG = pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationException", "Invalid InstanceProfile: mayfly-dev-immigration-emr-ec2-g1."),
        ("AccessDeniedException", "Failed to authorize instance profile mayfly-dev-immigration-emr-ec2-g1"),
    ],
)


@LAG
def test_while_the_roles_are_young_run_job_flow_is_asked_again(
    world: World, run: Run, code: str, message: str
) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.REFUSED, times=2, code=code, message=message)
    assert isinstance(drive(EnsureEmr(), run, world), Done)
    assert [one.state for one in world.emr.all] == ["WAITING"]
    assert len(world.wire.sent("emr.RunJobFlow")) == 3


@LAG
def test_after_five_minutes_the_same_words_are_a_refusal_that_says_what_to_look_at(
    world: World, run: Run, code: str, message: str
) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.REFUSED, times=math.inf, code=code, message=message)
    began = world.now()
    with pytest.raises(ResourceError, match="this time it was not that: look whether the roles"):
        drive(EnsureEmr(), run, world)
    assert 300 <= (world.now() - began).total_seconds() <= 300 + run.settings.mayfly.poll_s


def test_by_default_neither_emr_nor_redshift_sees_a_role_at_once(world: World, run: Run) -> None:
    provide(world, run)
    assert len(world.wire.sent("emr.RunJobFlow")) > 1
    assert len(world.wire.sent("redshift.CreateCluster")) > 1
    assert len(world.emr.all) == len(world.warehouses.live) == 1


def test_a_cluster_that_emr_ended_for_young_roles_is_replaced_once_the_next_roles_are_seen(
    world: World, run: Run
) -> None:
    """EMR takes the request, and ends the cluster: `Service role … has insufficient EC2 permissions`."""
    lease(world, run)
    world.wire.lag.takes = True
    assert drive(EnsureEmr(), run, world).result["generation"] == 2
    assert [one.state for one in world.emr.all] == ["TERMINATED_WITH_ERRORS", "WAITING"]


def test_a_cluster_that_ends_so_although_its_roles_are_old_is_a_refusal(world: World, run: Run) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.TIMEOUT, times=3)  # six minutes
    words = "Service role arn:aws:iam::1:role/x has insufficient EC2 permissions"
    world.emr.failures.append(Reason("VALIDATION_ERROR", words))
    with pytest.raises(TerminalState, match="insufficient EC2 permissions.*look whether the roles"):
        drive(EnsureEmr(), run, world)
    assert len(world.emr.all) == 1


def test_a_cluster_that_an_organisations_policy_ends_is_not_replaced(world: World, run: Run) -> None:
    lease(world, run)
    words = (
        "Service role x has insufficient EC2 permissions: … with an explicit deny in a service control policy"
    )
    world.emr.failures.append(Reason("VALIDATION_ERROR", words))
    with pytest.raises(TerminalState, match="granting it to the principal does not help"):
        drive(EnsureEmr(), run, world)
    assert len(world.emr.all) == 1


@pytest.mark.parametrize("step", [EnsureEmr(), EnsureWarehouse()], ids=["emr", "warehouse"])
def test_one_who_waits_for_a_cluster_in_an_unknown_state_is_told(
    world: World, run: Run, step: EnsureEmr | EnsureWarehouse
) -> None:
    lease(world, run)
    world.wire.lag.lag_s = 0
    outcome = step.begin(run)
    assert isinstance(outcome, Waiting)
    if step.slot is Slot.EMR:
        world.emr.all[0].state = "HIBERNATING"
    else:
        world.warehouses.live[0].status = "HIBERNATING"
    with pytest.raises(UnknownState, match="'HIBERNATING'"):
        step.poll(run, outcome.state)


def test_one_answer_that_the_snapshot_does_not_exist_fails_no_run(world: World, make_run: MakeRun) -> None:
    walk(world, make_run("run1"))
    world.wire.late.was_on = True
    world.wire.late.snapshots_unseen_until = world.now() + timedelta(seconds=45)
    walked = walk(world, make_run("run2"), only="provision")
    assert walked.errors == {}
    assert world.warehouses.loads == {"mayfly-dev-immigration-warehouse-g2": {"run1"}}


def test_one_list_without_snapshots_makes_no_empty_warehouse_ready(world: World, make_run: MakeRun) -> None:
    """Somebody deleted the register, and AWS lists no snapshot at the first look."""
    walk(world, make_run("run1"))
    world.others.s3.delete_object(Bucket=BUCKET, Key=f"state/{PIPELINE.name}/register.json")
    world.wire.late.was_on = True
    world.wire.late.snapshots_unseen_until = world.now() + timedelta(seconds=45)
    walked = walk(world, make_run("run2"))
    assert "holds mayfly-dev-immigration-warehouse-final-g1" in walked.error("provision.warehouse")
    assert world.warehouses.live == []
    assert world.warehouses.saved == {"mayfly-dev-immigration-warehouse-final-g1": {"run1"}}
    assert world.register(PIPELINE).warehouse.snapshot is None


def test_that_there_never_was_a_snapshot_is_believed_while_the_warehouse_is_being_created(
    world: World, run: Run
) -> None:
    """So the looks cost no time."""
    lease(world, run)
    world.wire.lag.lag_s = 0
    outcome = EnsureWarehouse().begin(run)
    looks = 1
    while isinstance(outcome, Waiting):
        assert "no snapshot" not in outcome.what
        world.advance(outcome.poll_s)
        outcome = EnsureWarehouse().poll(run, outcome.state)
        looks += 1
    lists = [
        call for call in world.wire.sent("redshift.DescribeClusterSnapshots") if call.params["SnapshotType"]
    ]
    assert len(lists) == looks > 2


def test_a_warehouse_that_is_ready_sooner_waits_for_a_minute_of_looks(
    world: World, make_run: MakeRun
) -> None:
    run = make_run(poll_s=10)
    lease(world, run)
    world.wire.lag.lag_s = 0
    world.timeline.slowness = 0.05  # 9 s
    began, outcome = world.now(), EnsureWarehouse().begin(run)
    while isinstance(outcome, Waiting):
        world.advance(outcome.poll_s)
        outcome = EnsureWarehouse().poll(run, outcome.state)
    assert 60 <= (world.now() - began).total_seconds() <= 70


def test_roles_that_stay_invisible_fail_the_run_after_two_new_generations(world: World, run: Run) -> None:
    lease(world, run)
    world.emr.failures += [Reason("VALIDATION_ERROR", "Service role mayfly does not exist")] * 5
    with pytest.raises(TerminalState, match="Service role mayfly does not exist"):
        drive(EnsureEmr(), run, world)
    assert len(world.emr.all) == 3


def test_retries_of_the_task_make_no_more_generations_than_one_try(world: World, run: Run) -> None:
    """Whose worker is killed again and again inherits each time what failed: without end, if each try counts anew."""
    lease(world, run)
    world.emr.failures += [Reason("VALIDATION_ERROR", "Service role mayfly does not exist")] * 20

    def be_killed_at_each_replacement() -> None:
        for _ in range(20):
            outcome = EnsureEmr().begin(run)
            while isinstance(outcome, Waiting) and "a new cluster" not in outcome.what:
                world.advance(outcome.poll_s)
                outcome = EnsureEmr().poll(run, outcome.state)

    with pytest.raises(TerminalState, match="Service role mayfly does not exist"):
        be_killed_at_each_replacement()
    assert len(world.emr.all) == 3


def test_a_killed_worker_does_not_renew_the_deadline(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    for one in (first, second):
        lease(world, one)
    began = world.now()

    def be_killed_at_each_poll() -> None:
        for _ in range(100):
            assert isinstance(EnsureWarehouse().begin(second), Waiting)
            world.advance(600)
            lease(world, first)

    with pytest.raises(WaitTimeout, match="run1 is creating"):
        be_killed_at_each_poll()
    assert (world.now() - began).total_seconds() <= EnsureWarehouse().timeout_s(second)


def test_where_run_job_flows_answer_is_lost_the_cluster_is_found_and_used(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.LOST)
    assert isinstance(drive(EnsureEmr(), run, world), Done)
    assert len(world.emr.all) == 1
    assert len(world.wire.sent("emr.RunJobFlow")) == 1


def test_run_job_flow_is_not_sent_again_before_a_lost_one_would_be_listed(world: World, run: Run) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.ERROR)
    outcome = EnsureEmr().begin(run)
    for _ in range(
        11
    ):  # 60 s until a request's answer counts as lost, and as long for its cluster to be listed
        assert isinstance(outcome, Waiting)
        assert len(world.wire.sent("emr.RunJobFlow")) == 1
        world.advance(10)
        outcome = EnsureEmr().poll(run, outcome.state)
    world.advance(10)
    assert isinstance(outcome, Waiting)
    EnsureEmr().poll(run, outcome.state)
    assert len(world.wire.sent("emr.RunJobFlow")) == 2


def test_a_cluster_that_was_created_at_the_end_of_a_read_timeout_is_found_and_used(
    world: World, run: Run
) -> None:
    """EMR takes 55 s to create it, botocore waits 60 s for the answer, and it is listed 45 s after it was created."""
    lease(world, run)
    world.emr.listed_after_s = 45

    def take_long(call: Call) -> None:
        if str(call) == "emr.RunJobFlow":
            world.advance(55)

    world.wire.watchers.append(take_long)
    world.wire.inject("emr.RunJobFlow", Kind.LOST)
    assert isinstance(drive(EnsureEmr(), run, world), Done)
    assert len(world.emr.all) == 1


@pytest.mark.parametrize(
    "operation", ["iam.CreateRole", "iam.AttachRolePolicy", "ec2.DescribeSecurityGroups", "emr.ListClusters"]
)
def test_two_processes_of_one_run_request_one_cluster(world: World, run: Run, operation: str) -> None:
    """The first was given up for dead (no heartbeat) while it was at its prerequisites; a second try begins."""
    lease(world, run)

    def cut_in(call: Call) -> None:
        if str(call) == operation:
            world.wire.watchers.remove(cut_in)
            EnsureEmr().begin(run)
            world.advance(1)

    world.wire.watchers.append(cut_in)
    assert isinstance(drive(EnsureEmr(), run, world), Done)
    assert len(world.emr.all) == 1


def test_a_late_answer_is_not_recorded_for_the_next_generation(world: World, run: Run) -> None:
    """The process is suspended once it has asked; meanwhile its run is released, cleared, and creates the next one."""
    lease(world, run)

    def go_on_without_it(call: Call) -> None:
        if str(call) == "s3.GetObject" and world.emr.all:
            world.wire.watchers.remove(go_on_without_it)
            drive(ReleaseSlot(Slot.EMR), run, world)
            lease(world, run)

    world.wire.watchers.append(go_on_without_it)
    with pytest.raises(LeaseLost, match="generation 1"):
        drive(EnsureEmr(), run, world)
    state = world.register(PIPELINE).emr
    assert (state.generation, state.cluster_id) == (2, None)


def test_a_late_look_does_not_mark_the_next_generation_ready(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    lease(world, run)
    outcome = EnsureWarehouse().begin(run)
    assert isinstance(outcome, Waiting)
    world.advance(1200)

    def go_on_without_it(call: Call) -> None:
        if str(call) == "redshift.DescribeClusters":
            world.wire.watchers.remove(go_on_without_it)
            world.wire.watchers.append(then_tear_down)

    def then_tear_down(call: Call) -> None:
        if call.service == "s3":
            world.wire.watchers.remove(then_tear_down)
            drive(ReleaseSlot(Slot.WAREHOUSE), run, world)
            lease(world, run)

    world.wire.watchers.append(go_on_without_it)
    with pytest.raises(LeaseLost, match="generation 1"):
        EnsureWarehouse().poll(run, outcome.state)
    assert world.register(PIPELINE).warehouse.phase is Phase.CREATING


def test_a_duplicate_cluster_is_never_used_and_is_gone_with_the_run(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    world.emr.listed_after_s = 200  # later than Mayfly asks again
    world.wire.inject("emr.RunJobFlow", Kind.LOST)
    walked = walk(world, run)
    assert not walked.red
    first, second = world.emr.all
    assert {one.state for one in (first, second)} == {"TERMINATED"}
    used = {call.params["path"] for call in world.wire.calls if str(call) == "livy.POST /sessions"}
    assert used == {"/sessions"}
    assert len(world.livy.hosts_used) == 1


def test_a_request_that_never_arrived_is_sent_again_at_once(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.TIMEOUT)
    outcome = EnsureEmr().begin(run)
    assert isinstance(outcome, Waiting)
    EnsureEmr().poll(run, outcome.state)
    assert len(world.emr.all) == 1


def test_the_next_warehouse_is_restored_from_the_snapshot_that_the_register_names(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    walk(world, make_run("run1"))
    assert world.register(PIPELINE).warehouse.snapshot == "mayfly-dev-immigration-warehouse-final-g1"
    walk(world, make_run("run2"), only="provision")
    assert len(world.wire.sent("redshift.CreateCluster")) == 1
    (restored,) = world.wire.sent("redshift.RestoreFromClusterSnapshot")
    assert restored.params["SnapshotIdentifier"] == "mayfly-dev-immigration-warehouse-final-g1"
    assert world.warehouses.loads == {"mayfly-dev-immigration-warehouse-g2": {"run1"}}
    (cluster,) = world.others.redshift.describe_clusters()["Clusters"]
    assert {tag["Key"]: tag["Value"] for tag in cluster["Tags"]}[TAG_GENERATION] == "2"


def test_a_warehouse_is_never_made_empty_once_a_snapshot_was_named(world: World, make_run: MakeRun) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    walk(world, make_run("run1"))
    world.warehouses.backend.snapshots.clear()  # somebody deleted it
    walked = walk(world, make_run("run2"))
    assert walked.red
    assert "warehouse-final-g1" in walked.error("provision.warehouse")
    assert len(world.wire.sent("redshift.CreateCluster")) == 1
    assert world.register(PIPELINE).warehouse.snapshot == "mayfly-dev-immigration-warehouse-final-g1"


@pytest.mark.parametrize(
    ("step", "operation", "code"),
    [
        (EnsureEmr(), "iam.PutRolePolicy", "NoSuchEntity"),
        (EnsureWarehouse(), "ec2.AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound"),
    ],
)
def test_what_aws_does_not_see_yet_is_waited_for(
    world: World, run: Run, step: EnsureEmr | EnsureWarehouse, operation: str, code: str
) -> None:
    lease(world, run)
    world.wire.inject(operation, Kind.REFUSED, code=code)
    outcome = step.begin(run)
    assert isinstance(outcome, Waiting)
    assert code in outcome.what
    assert isinstance(drive(step, run, world), Done)


@pytest.mark.parametrize(
    ("step", "operation", "code", "told"),
    [
        (EnsureEmr(), "iam.PutRolePolicy", "NoSuchEntity", "put policy"),
        (EnsureWarehouse(), "ec2.AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", "add rules"),
    ],
)
def test_what_never_comes_ends_at_a_deadline_that_names_it(
    world: World, make_run: MakeRun, step: EnsureEmr | EnsureWarehouse, operation: str, code: str, told: str
) -> None:
    run = make_run(**HASTY)
    lease(world, run)
    world.wire.inject(operation, Kind.REFUSED, times=math.inf, code=code)
    with pytest.raises(WaitTimeout, match=told):
        drive(step, run, world)


def test_livy_that_never_answers_ends_at_a_deadline_that_names_it(world: World, make_run: MakeRun) -> None:
    run = make_run(**HASTY)
    lease(world, run)
    world.livy.down = True
    with pytest.raises(WaitTimeout, match="Livy on .*refused"):
        drive(EnsureEmr(), run, world)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>Error 404 Not Found</html>"),
        (404, b'{"msg": "no"}'),
        (200, b"null"),
        (200, b'"busy"'),
        (200, b"<html>nginx</html>"),
        (200, b'{"status": "up"}'),
        (302, b""),
        (500, b""),
    ],
)
def test_what_answers_before_livy_does_is_waited_for(
    world: World, run: Run, status: int, body: bytes
) -> None:
    lease(world, run)
    world.livy.odd = (status, body)
    outcome = EnsureEmr().begin(run)
    for _ in range(10):
        assert isinstance(outcome, Waiting)
        world.advance(outcome.poll_s)
        outcome = EnsureEmr().poll(run, outcome.state)
    assert isinstance(outcome, Waiting)
    assert "Livy on" in outcome.what
    assert world.register(PIPELINE).emr.livy is None
    world.livy.odd = None
    assert isinstance(EnsureEmr().poll(run, outcome.state), Done)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_livy_that_asks_for_credentials_fails_as_soon_as_it_answers(
    world: World, run: Run, status: int
) -> None:
    lease(world, run)
    world.livy.odd = (status, b"User not authorised to use Livy.")
    began = world.now()
    with pytest.raises(LivyDenied, match=rf"{status} User not authorised .* switch authentication off"):
        drive(EnsureEmr(), run, world)
    assert (world.now() - began).total_seconds() < 900


@pytest.mark.parametrize("speak_tls", [True, False])
def test_how_livy_was_reached_is_recorded_with_the_cluster_and_forgotten_with_it(
    world: World, run: Run, speak_tls: bool
) -> None:
    world.livy.speak_tls = speak_tls
    provide(world, run)
    (cluster,) = world.emr.live
    pinned = LivyRecord("https", world.livy.fingerprint(f"{cluster.id.lower()}.world.test"))
    assert world.register(PIPELINE).emr.livy == (pinned if speak_tls else LivyRecord("http"))
    drive(ReleaseSlot(Slot.EMR), run, world)
    assert world.register(PIPELINE).emr.livy is None


@pytest.mark.parametrize("step", [EnsureEmr(), EnsureWarehouse()], ids=["emr", "warehouse"])
def test_a_creator_keeps_its_lease_for_as_long_as_its_cluster_takes(
    world: World, make_run: MakeRun, step: EnsureEmr | EnsureWarehouse
) -> None:
    run = make_run(lease_s=600)
    world.timeline.slowness = 15
    lease(world, run)
    began, outcome = world.now(), step.begin(run)
    while isinstance(outcome, Waiting):
        world.advance(outcome.poll_s)
        held = world.register(PIPELINE).slot(step.slot).lease(run.run_id)
        assert held is not None
        assert held.until > world.now()
        outcome = step.poll(run, outcome.state)
    assert (world.now() - began).total_seconds() > 2 * 600


def test_a_creator_that_lost_its_lease_creates_no_other_generation(world: World, run: Run) -> None:
    lease(world, run)
    outcome = EnsureEmr().begin(run)
    assert isinstance(outcome, Waiting)
    drive(ReleaseSlot(Slot.EMR), run, world)
    with pytest.raises(LeaseLost, match="was creating generation 1 of the emr slot"):
        EnsureEmr().poll(run, outcome.state)
    assert world.emr.live == []


def test_a_run_that_waits_for_a_creator_names_it_at_its_deadline(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    lease(world, first)
    lease(world, second)
    outcome = EnsureWarehouse().begin(second)
    assert isinstance(outcome, Waiting)
    while world.now() < datetime.fromisoformat(
        outcome.state["deadline"]
    ):  # the creator lives, and makes nothing
        world.advance(600)
        lease(world, first)
    with pytest.raises(WaitTimeout, match="run1 is creating"):
        EnsureWarehouse().poll(second, outcome.state)


def test_a_run_that_lost_its_lease_creates_nothing(world: World, make_run: MakeRun) -> None:
    late, heir = make_run("run1"), make_run("run2")
    lease(world, late)
    world.advance(1801)
    lease(world, heir)
    before = made(world)
    outcome = EnsureEmr().begin(late)  # it waits for the heir, with a lease of its own
    assert isinstance(outcome, Waiting)
    assert "run2 is creating it" in outcome.what
    assert made(world) == before


@pytest.mark.parametrize("step", [EnsureEmr(), EnsureWarehouse()], ids=["emr", "warehouse"])
@pytest.mark.parametrize("operation", ["iam.CreateRole", "ec2.AuthorizeSecurityGroupIngress"])
def test_a_creator_that_was_suspended_beyond_its_lease_creates_no_cluster(
    world: World, make_run: MakeRun, step: EnsureEmr | EnsureWarehouse, operation: str
) -> None:
    """Its host sleeps in the middle of the step; meanwhile another run tears its generation down."""
    late, other = make_run("run1"), make_run("run2")
    lease(world, late)

    def suspend(call: Call) -> None:
        if str(call) == operation:
            world.wire.watchers.remove(suspend)
            world.advance(1801)
            drive(ReleaseSlot(step.slot), other, world)

    world.wire.watchers.append(suspend)
    with pytest.raises(LeaseLost):
        drive(step, late, world)
    assert world.emr.all == []
    assert world.warehouses.live == []


def test_a_request_of_the_future_is_not_waited_for(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    lease(world, run)
    key = "state/immigration/register.json"
    content = json.loads(world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    content["emr"]["requested_at"] = "9999-12-31T23:59:59Z"
    world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content).encode())
    outcome = EnsureEmr().begin(run)
    assert isinstance(outcome, Waiting)
    assert "list the cluster" not in outcome.what
    assert len(world.emr.live) == 1


def test_a_warehouse_that_is_available_is_waited_for_until_it_takes_connections(
    world: World, run: Run
) -> None:
    """It may refuse them for a minute: https://github.com/trinodb/trino/issues/27902"""
    lease(world, run)
    step = EnsureWarehouse()
    outcome = step.begin(run)
    seen = []
    while isinstance(outcome, Waiting):
        seen.append(outcome.what)
        world.advance(20)
        outcome = step.poll(run, outcome.state)
    refused = [what for what in seen if "to take connections" in what]
    assert len(refused) >= 2
    assert "Connection refused" in refused[0]
    assert isinstance(outcome, Done)
    assert world.warehouses.takes_connections(outcome.result["cluster"])


@pytest.mark.parametrize("operation", ["warehouse.Connect", "redshift.GetClusterCredentials"])
def test_a_warehouse_that_never_takes_connections_ends_at_a_deadline_that_names_the_cause(
    world: World, make_run: MakeRun, operation: str
) -> None:
    run = make_run(**HASTY)
    lease(world, run)
    world.wire.inject(operation, Kind.THROTTLED, times=math.inf)
    with pytest.raises(WaitTimeout, match="to take connections: .*(connection limit|Rate exceeded)"):
        drive(EnsureWarehouse(), run, world)


def test_a_warehouse_that_refuses_for_good_is_told_at_once(world: World, run: Run) -> None:
    lease(world, run)
    fault = world.wire.inject("warehouse.Connect", Kind.DENIED, times=9)
    with pytest.raises(WarehouseError, match="password authentication failed.*Waiting does not help"):
        drive(EnsureWarehouse(), run, world)
    assert fault.times == 8
