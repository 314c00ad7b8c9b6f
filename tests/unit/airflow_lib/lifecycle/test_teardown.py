"""Tearing down: what goes first, what is tried all the same, and what is never lost without a word."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import (
    MayflyError,
    NotReady,
    ResourceError,
    RowsLost,
    TeardownError,
    UnknownState,
)
from airflow_lib.lifecycle import rules, teardown
from airflow_lib.lifecycle.document import Phase
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.lifecycle.teardown import tear_down_resources, tear_down_slot
from airflow_lib.naming import Environment, Names, Slot
from airflow_lib.resources.kind import Kind
from airflow_lib.resources.snapshots import SNAPSHOT
from airflow_lib.steps import Run
from airflow_lib.steps.provision import EnsureWarehouse, TakeLease
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive

NAMES = Names(Environment("dev", "birds"), Slot.EMR, 3)
NAMES_OF_WAREHOUSE = Names(Environment("dev", PIPELINE.name), Slot.WAREHOUSE, 1)
AWS = Aws(None)  # type: ignore[arg-type]

Registry = Callable[..., list[str]]


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Delete",
    )


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Sets kinds whose deletes end as given, the first one a cluster; returns the titles that were tried."""

    def let(**endings: Exception | None) -> list[str]:
        tried: list[str] = []

        def kind(title: str, ending: Exception | None, is_cluster: bool) -> Kind:
            def delete(aws: Aws, names: Names, *, keep_data: bool) -> None:
                tried.append(title)
                if ending is not None:
                    raise ending

            return Kind(title, lambda _: (title,), lambda *_: [], delete=delete, uses_the_rest=is_cluster)

        kinds = [kind(*item, number == 0) for number, item in enumerate(endings.items())]
        monkeypatch.setattr(teardown, "REGISTRY", tuple(kinds))
        return tried

    return let


def test_nothing_that_a_cluster_uses_goes_before_it_is_gone(registry: Registry) -> None:
    tried = registry(cluster=NotReady("it is TERMINATING"), role=None)
    with pytest.raises(NotReady, match="TERMINATING"):
        tear_down_resources(AWS, NAMES, keep_data=False)
    assert tried == ["cluster"]


@pytest.mark.parametrize("error", [ResourceError("denied"), client_error("Throttling")])
def test_a_cluster_that_cannot_be_ended_keeps_what_it_uses(registry: Registry, error: Exception) -> None:
    tried = registry(cluster=error, role=None)
    with pytest.raises(MayflyError):
        tear_down_resources(AWS, NAMES, keep_data=False)
    assert tried == ["cluster"]


def test_failing_at_one_thing_keeps_no_other_from_being_tried(registry: Registry) -> None:
    tried = registry(cluster=None, group=ResourceError("group stays"), role=None, profile=ResourceError("no"))
    with pytest.raises(TeardownError) as caught:
        tear_down_resources(AWS, NAMES, keep_data=False)
    assert tried == ["cluster", "group", "role", "profile"]
    assert "Slot emr of dev-birds, generation 3" in str(caught.value)
    assert "- group stays\n- no" in str(caught.value)


def test_while_something_is_still_going_a_failure_is_not_final(registry: Registry) -> None:
    registry(cluster=None, group=ResourceError("group stays"), role=NotReady("role is held"))
    with pytest.raises(NotReady, match="role is held; group stays"):
        tear_down_resources(AWS, NAMES, keep_data=False)


def test_a_busy_aws_is_asked_again(registry: Registry) -> None:
    registry(cluster=None, group=client_error("InternalFailure", 500))
    with pytest.raises(NotReady, match="AWS is busy"):
        tear_down_resources(AWS, NAMES, keep_data=False)


def test_a_fault_of_our_own_is_raised_as_it_is(registry: Registry) -> None:
    registry(cluster=None, group=client_error("ValidationError"))
    with pytest.raises(ClientError, match="ValidationError"):
        tear_down_resources(AWS, NAMES, keep_data=False)


def test_where_nothing_is_left_it_returns(registry: Registry) -> None:
    registry(cluster=None, group=None)
    tear_down_resources(AWS, NAMES, keep_data=False)


def test_rows_that_are_lost_are_an_error_once_the_slot_is_empty(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)
    drive(EnsureWarehouse(), run, world)
    world.warehouses.failing_snapshots = 1
    run.register.apply(Slot.WAREHOUSE, rules.release)
    with pytest.raises(RowsLost, match=r"warehouse-final-g1 is (failed|absent)"):
        tear_down_until_empty(world, run)
    assert world.register(PIPELINE).warehouse.phase is Phase.EMPTY


@pytest.fixture
def gone(world: World, run: Run) -> Run:
    """The run tears down a warehouse that is gone, whose final snapshot can be restored and is not recorded yet."""
    drive(TakeLease(), run, world)
    drive(EnsureWarehouse(), run, world)
    run.register.apply(Slot.WAREHOUSE, rules.release)
    for _ in range(2):  # it is asked for, and then being taken
        with pytest.raises(NotReady):
            tear_down_slot(run.holder, Slot.WAREHOUSE, 1)
    world.advance(600)
    assert world.warehouses.live == []
    assert world.warehouses.snapshots == {NAMES_OF_WAREHOUSE.final_snapshot: "available"}
    return run


def test_one_answer_that_there_is_no_snapshot_loses_no_rows(world: World, gone: Run) -> None:
    """DescribeClusterSnapshots answers ClusterSnapshotNotFound for 45 s."""
    world.wire.late.snapshots_unseen_until = world.now() + timedelta(seconds=45)
    with pytest.raises(NotReady, match="warehouse-final-g1, which AWS has not shown for 0 s"):
        tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    world.advance(60)
    tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    assert world.register(PIPELINE).warehouse.snapshot == NAMES_OF_WAREHOUSE.final_snapshot


def test_an_empty_answer_is_no_more_believed_than_a_refusal(
    world: World, gone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = lambda **_: {"Snapshots": []}  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(gone.aws.redshift, "describe_cluster_snapshots", nothing)
        with pytest.raises(NotReady, match="which AWS has not shown"):
            tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    world.advance(60)
    tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    assert world.register(PIPELINE).warehouse.snapshot == NAMES_OF_WAREHOUSE.final_snapshot


def test_a_snapshot_that_stays_absent_is_believed_after_a_minute_whoever_looks(
    world: World, gone: Run, make_run: Callable[..., Run]
) -> None:
    """The first look was a dead run's; another holder takes the slot over, and its own first look is enough."""
    world.warehouses.backend.snapshots.clear()
    with pytest.raises(NotReady, match="has not shown for 0 s"):
        tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    world.advance(59)
    with pytest.raises(NotReady, match="has not shown for 59 s"):
        tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    world.advance(gone.settings.mayfly.lease_s)
    heir = make_run("heir")
    heir.register.apply(Slot.WAREHOUSE, rules.acquire)
    with pytest.raises(RowsLost, match="warehouse-final-g1 is absent"):
        tear_down_slot(heir.holder, Slot.WAREHOUSE, 1)
    state = world.register(PIPELINE).warehouse
    assert (state.phase, state.absent_since) == (Phase.EMPTY, None)


def test_where_the_warehouse_turns_out_to_be_there_the_looks_begin_anew(
    world: World, gone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.warehouses.backend.snapshots.clear()
    with pytest.raises(NotReady, match="has not shown for 0 s"):
        tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    world.advance(100)
    with monkeypatch.context() as patch:
        shown = NotReady("asked to delete: it was available")
        patch.setattr(teardown, "tear_down_resources", Mock(side_effect=shown))
        with pytest.raises(NotReady, match="it was available"):
            tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    with pytest.raises(NotReady, match="has not shown for 0 s"):
        tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)


def test_a_final_snapshot_in_an_unknown_state_is_an_error_once_everything_else_is_gone(
    world: World, gone: Run
) -> None:
    world.warehouses.backend.snapshots[NAMES_OF_WAREHOUSE.final_snapshot].status = "pondering"
    with pytest.raises(UnknownState, match="pondering"):
        tear_down_slot(gone.holder, Slot.WAREHOUSE, 1)
    assert {item.kind for item in list_owned(world.others, gone.environment).owned} <= {SNAPSHOT}
    assert world.register(PIPELINE).warehouse.unsaved


def tear_down_until_empty(world: World, run: Run) -> None:
    for _ in range(20):
        with suppress(NotReady):
            return tear_down_slot(run.holder, Slot.WAREHOUSE, 1)
        world.advance(60)
    raise AssertionError("still not empty")


def test_a_fault_of_our_own_keeps_nothing_else_from_being_removed_and_is_named(registry: Registry) -> None:
    tried = registry(cluster=None, group=KeyError("GroupName"), role=ResourceError("in use"), profile=None)
    with pytest.raises(TeardownError, match=r"(?s)unexpected KeyError: 'GroupName'.*in use"):
        tear_down_resources(AWS, NAMES, keep_data=False)
    assert tried == ["cluster", "group", "role", "profile"]


def test_a_fault_of_our_own_does_not_end_the_wait_for_what_is_pending(registry: Registry) -> None:
    registry(cluster=None, group=KeyError("GroupName"), role=NotReady("in use"))
    with pytest.raises(NotReady, match=r"in use; unexpected KeyError"):
        tear_down_resources(AWS, NAMES, keep_data=False)


def test_a_cluster_that_nobody_knows_whether_it_is_gone_keeps_what_it_uses(registry: Registry) -> None:
    tried = registry(cluster=KeyError("ClusterStatus"), role=None)
    with pytest.raises(KeyError):
        tear_down_resources(AWS, NAMES, keep_data=False)
    assert tried == ["cluster"]
