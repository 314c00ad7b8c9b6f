"""RunJobFlow, which has no client token: sent once, found again, never used twice."""

from __future__ import annotations

import json

import pytest

from airflow_lib.errors import (
    LeaseLost,
)
from airflow_lib.lifecycle.document import Phase
from airflow_lib.naming import Slot
from airflow_lib.steps import Done, Run, Waiting
from airflow_lib.steps.provision import (
    EnsureEmr,
    EnsureWarehouse,
)
from airflow_lib.steps.release import ReleaseSlot
from tests.unit.airflow_lib.steps.provisioning import lease
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk
from tests.world.wire import Call, Kind


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
