"""Where the clusters are: only where the run may use them and they can be used."""

from __future__ import annotations

import pytest

from airflow_lib.errors import LeaseLost, ResourceError, TerminalState, UnknownState
from airflow_lib.naming import Slot
from airflow_lib.steps import Run
from airflow_lib.steps.clusters import find_livy_url, find_warehouse, is_usable
from tests.world import World
from tests.world.emr_clusters import Reason
from tests.world.pipeline import PIPELINE
from tests.world.walk import walk
from tests.world.wire import Kind


@pytest.fixture
def provided(world: World, run: Run) -> Run:
    assert walk(world, run, only="provision").errors == {}
    return run


def test_livy_is_on_the_recorded_clusters_master(world: World, provided: Run) -> None:
    (cluster,) = world.emr.live
    assert find_livy_url(provided) == f"http://{cluster.id.lower()}.world.test:8998"


def test_a_cluster_that_ended_is_told_with_awss_reason(world: World, provided: Run) -> None:
    world.emr.end(world.emr.live[0], "TERMINATED_WITH_ERRORS", Reason("INSTANCE_FAILURE", "the master died"))
    with pytest.raises(TerminalState, match=r"WAITING was expected: INSTANCE_FAILURE: the master died"):
        find_livy_url(provided)
    assert not is_usable(provided, world.register(PIPELINE).emr)


def test_the_warehouse_is_found_with_its_role_for_copy(provided: Run) -> None:
    access = find_warehouse(provided)
    assert access.copy_role_arn.endswith("/mayfly-dev-immigration-warehouse-copy-g1")
    assert access.endpoint.host == "mayfly-dev-immigration-warehouse-g1.world.test"


def test_a_warehouse_that_is_not_available_is_an_error_that_says_what_to_do(
    world: World, provided: Run
) -> None:
    world.warehouses.live[0].status = "rebooting"
    with pytest.raises(ResourceError, match=r"is rebooting; available .* clear this task later"):
        find_warehouse(provided)
    assert not is_usable(provided, world.register(PIPELINE).warehouse)


def test_a_cluster_in_a_state_that_this_version_does_not_know_is_not_used(
    world: World, provided: Run
) -> None:
    world.warehouses.live[0].status = world.emr.live[0].state = "HIBERNATING"
    with pytest.raises(UnknownState, match="Redshift cluster .* is 'HIBERNATING'"):
        find_warehouse(provided)
    with pytest.raises(UnknownState, match="EMR cluster .* is 'HIBERNATING'"):
        find_livy_url(provided)
    for slot in Slot:
        assert not is_usable(provided, world.register(PIPELINE).slot(slot))


def test_without_a_lease_no_cluster_is_found(world: World, run: Run) -> None:
    with pytest.raises(LeaseLost):
        find_livy_url(run)
    with pytest.raises(LeaseLost):
        find_warehouse(run)
    assert not [call for call in world.wire.calls if call.service != "s3"]


def test_clusters_in_use_are_usable(world: World, provided: Run) -> None:
    document = world.register(PIPELINE)
    assert all(is_usable(provided, document.slot(slot)) for slot in Slot)


def test_a_cluster_that_may_not_be_described_is_not_usable(world: World, provided: Run) -> None:
    world.wire.inject("emr.DescribeCluster", Kind.DENIED)
    assert not is_usable(provided, world.register(PIPELINE).emr)
