"""A warehouse: empty only if there never was one, restored, and reachable before it is ready."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from airflow_lib.errors import (
    WaitTimeout,
    WarehouseError,
)
from airflow_lib.naming import TAG_GENERATION
from airflow_lib.steps import Done, Run, Waiting
from airflow_lib.steps.provision import (
    EnsureWarehouse,
)
from tests.unit.airflow_lib.steps.provisioning import HASTY, MakeRun, lease
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk
from tests.world.wire import Kind


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


def test_the_next_warehouse_is_restored_from_the_snapshot_that_the_register_names(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    walk(world, make_run("run1"))
    assert world.register(PIPELINE).warehouse.snapshot == "mayfly-dev-immigration-warehouse-final-g1"
    world.forget_held()
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
