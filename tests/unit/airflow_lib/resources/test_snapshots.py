from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.redshift.models import redshift_backends

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady, UnknownState
from airflow_lib.naming import Environment, Names, Slot
from airflow_lib.resources import snapshots
from airflow_lib.resources.owned import as_tag_list

from .conftest import ENVIRONMENT, OTHER, REGION, TAGS, Faulty, refused

BIRTH = datetime(2026, 11, 1, tzinfo=UTC)


def _names(generation: int, environment: Environment = ENVIRONMENT) -> Names:
    return Names(environment, Slot.WAREHOUSE, generation)


def _snapshot(aws: Aws, names: Names, tags: dict[str, str] | None = None, status: str = "available") -> str:
    """A final snapshot, older generations first in time."""
    aws.redshift.create_cluster(
        ClusterIdentifier=names.cluster,
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="admin",
        MasterUserPassword="Secret123",
        Tags=as_tag_list(TAGS if tags is None else tags),
    )
    aws.redshift.delete_cluster(
        ClusterIdentifier=names.cluster,
        SkipFinalClusterSnapshot=False,
        FinalClusterSnapshotIdentifier=names.final_snapshot,
    )
    stored = redshift_backends["123456789012"][REGION].snapshots[names.final_snapshot]
    stored.create_time = BIRTH + timedelta(days=names.generation)
    stored.status = status
    return names.final_snapshot


def _left(aws: Aws) -> list[str]:
    return [owned.name for owned in snapshots.list_owned_snapshots(aws.redshift, ENVIRONMENT)]


def test_a_snapshot_can_be_restored_once_it_is_available(aws: Aws) -> None:
    name = _snapshot(aws, _names(1))
    view = snapshots.probe_snapshot(aws.redshift, name)
    assert view is not None
    assert view.ready
    assert view.cluster == _names(1).cluster


@pytest.mark.parametrize("status", ["creating", "final snapshot"])
def test_a_snapshot_that_is_being_taken_is_not_ready(aws: Aws, status: str) -> None:
    view = snapshots.probe_snapshot(aws.redshift, _snapshot(aws, _names(1), status=status))
    assert view is not None
    assert not view.ready
    assert not view.failed


def test_a_snapshot_in_an_unknown_state_is_an_error_only_for_one_who_waits(aws: Aws) -> None:
    view = snapshots.probe_snapshot(aws.redshift, _snapshot(aws, _names(1), status="pondering"))
    assert view is not None
    assert not (view.ready)
    assert not (view.failed)
    with pytest.raises(UnknownState, match="pondering"):
        view.check_known()


def test_an_unknown_state_keeps_no_other_snapshot_from_being_listed_or_pruned(aws: Aws) -> None:
    """It is not deleted itself: it may be one to restore from."""
    old, pondering, newest = (_snapshot(aws, _names(generation)) for generation in (1, 2, 3))
    redshift_backends["123456789012"][REGION].snapshots[pondering].status = "pondering"
    assert snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=1, protected=()) == [old]
    assert _left(aws) == [pondering, newest]


def test_a_malformed_neighbour_keeps_no_snapshot_from_being_listed() -> None:
    ours = {
        "SnapshotIdentifier": _names(3).final_snapshot,
        "Status": "available",
        "Tags": [{"Value": "no key"}, *as_tag_list(TAGS)],
    }

    class Account:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Snapshots": [{}, {"Status": "available", "Tags": [{}]}, ours]}]

    account: Any = Account()
    assert [owned.name for owned in snapshots.list_owned_snapshots(account, ENVIRONMENT)] == [
        _names(3).final_snapshot
    ]


def test_an_absent_snapshot_is_none(aws: Aws) -> None:
    assert snapshots.probe_snapshot(aws.redshift, "lost") is None


@pytest.mark.parametrize("state", list(snapshots.SnapshotState))
def test_every_state_is_either_ready_pending_or_failed(state: snapshots.SnapshotState) -> None:
    assert sum(state in states for states in (snapshots.READY, snapshots.PENDING, snapshots.FAILED)) == 1


def test_the_snapshots_of_an_environment_are_listed_oldest_first(aws: Aws) -> None:
    newer, older = _snapshot(aws, _names(2)), _snapshot(aws, _names(1))
    _snapshot(aws, _names(1, OTHER), {"mayfly:environment": OTHER.name})
    assert _left(aws) == [older, newer]


def test_the_newest_are_kept_and_the_others_are_deleted(aws: Aws) -> None:
    names = [_snapshot(aws, _names(generation)) for generation in range(1, 6)]
    gone = snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=2, protected=())
    assert gone == names[:3]
    assert _left(aws) == names[3:]


def test_the_snapshots_that_the_register_names_stay_however_old_they_are(aws: Aws) -> None:
    names = [_snapshot(aws, _names(generation)) for generation in range(1, 6)]
    snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=2, protected=names[:2])
    assert _left(aws) == [*names[:2], *names[3:]]


def test_a_failed_snapshot_is_not_counted_among_the_kept(aws: Aws) -> None:
    good = [_snapshot(aws, _names(generation)) for generation in (1, 2)]
    failed = _snapshot(aws, _names(3), status="failed")
    assert snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=2, protected=()) == [failed]
    assert _left(aws) == good


def test_a_snapshot_that_is_still_being_taken_is_not_pruned(aws: Aws) -> None:
    taking = _snapshot(aws, _names(1), status="creating")
    assert snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=0, protected=()) == []
    assert _left(aws) == [taking]


def test_a_snapshot_that_cannot_be_deleted_yet_does_not_keep_the_others(aws: Aws) -> None:
    names = [_snapshot(aws, _names(generation)) for generation in (1, 2, 3)]
    busy: Any = Faulty(
        aws.redshift, {"delete_cluster_snapshot": [refused("InvalidClusterSnapshotState", "in use")]}
    )
    with pytest.raises(NotReady, match="in use"):
        snapshots.prune_snapshots(busy, ENVIRONMENT, keep=0, protected=())
    assert _left(aws) == names[:1]


def test_deleting_an_absent_snapshot_is_success(aws: Aws) -> None:
    snapshots.delete_snapshot(aws.redshift, ENVIRONMENT, _names(1).final_snapshot)


def test_a_snapshot_without_our_tag_is_not_deleted(aws: Aws) -> None:
    name = _snapshot(aws, _names(1), {})
    with pytest.raises(ForeignResource, match=name):
        snapshots.delete_snapshot(aws.redshift, ENVIRONMENT, name)
    assert snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=0, protected=()) == []
    assert snapshots.probe_snapshot(aws.redshift, name) is not None


def test_an_untagged_final_snapshot_of_our_cluster_is_given_its_tags(aws: Aws) -> None:
    name = _snapshot(aws, _names(3), {})
    snapshots.ensure_snapshot_tags(aws.redshift, _names(3), TAGS)
    assert _left(aws) == [name]
    quiet: Any = Faulty(aws.redshift)
    snapshots.ensure_snapshot_tags(quiet, _names(3), TAGS)
    assert quiet.calls == ["describe_cluster_snapshots"]


def test_somebody_elses_snapshot_of_our_name_is_not_tagged(aws: Aws) -> None:
    aws.redshift.create_cluster(
        ClusterIdentifier="theirs",
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="admin",
        MasterUserPassword="Secret123",
    )
    aws.redshift.create_cluster_snapshot(
        SnapshotIdentifier=_names(3).final_snapshot, ClusterIdentifier="theirs"
    )
    with pytest.raises(ForeignResource):
        snapshots.ensure_snapshot_tags(aws.redshift, _names(3), TAGS)


def test_tagging_an_absent_snapshot_is_success(aws: Aws) -> None:
    snapshots.ensure_snapshot_tags(aws.redshift, _names(3), TAGS)
