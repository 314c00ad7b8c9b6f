"""The warehouse's final snapshots: what it lives on in between runs.

Taking one is `redshift_cluster.delete_cluster`, restoring one `redshift_cluster.ensure_cluster`. Which may go is the
register's to say (`lifecycle`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import ForeignResource
from airflow_lib.naming import Environment, Names, Slot, is_ours
from airflow_lib.resources.kind import Kind
from airflow_lib.resources.owned import (
    Owned,
    as_tag_list,
    as_tags,
    attempt_all,
    check_known,
    check_ours,
    same_generation,
)

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

SNAPSHOT = "Redshift snapshot"

_ABSENT = frozenset({"ClusterSnapshotNotFound", "ClusterSnapshotNotFoundFault"})
_BUSY = frozenset({"InvalidClusterSnapshotState"})


class SnapshotState(StrEnum):
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_Snapshot.html"""

    CREATING = "creating"
    FINAL_SNAPSHOT = "final snapshot"
    AVAILABLE = "available"
    FAILED = "failed"
    DELETED = "deleted"


READY = frozenset({SnapshotState.AVAILABLE})
PENDING = frozenset({SnapshotState.CREATING, SnapshotState.FINAL_SNAPSHOT})
FAILED = frozenset({SnapshotState.FAILED, SnapshotState.DELETED})
# What may be deleted when nobody needs it: neither what is being taken, nor what is in a state that this version does
# not know, for it may be one to restore from.
DISPOSABLE = READY | FAILED


@dataclass(frozen=True)
class SnapshotView:
    """A snapshot as Redshift describes it.

    `state` is a SnapshotState's, or what this version does not know: that is neither ready nor failed.
    """

    name: str
    arn: str
    cluster: str
    state: str
    created_at: datetime
    tags: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether it can be restored: only then may the register name it."""
        return self.state in READY

    @property
    def failed(self) -> bool:
        return self.state in FAILED

    def check_known(self) -> None:
        """Raise UnknownState where one who waits for it would wait for what this version does not know."""
        check_known(f"{SNAPSHOT} {self.name}", self.state, SnapshotState, "Redshift")


def probe_snapshot(redshift: RedshiftClient, name: str) -> SnapshotView | None:
    """The snapshot as it is, or None where AWS answers that there is none of that name."""
    with translate_aws_errors(f"describe {SNAPSHOT} {name}", ignore=_ABSENT):
        found = redshift.describe_cluster_snapshots(SnapshotIdentifier=name)["Snapshots"]
        return _view(found[0]) if found else None
    return None


def ensure_snapshot_tags(redshift: RedshiftClient, names: Names, tags: Mapping[str, str]) -> None:
    """Give this generation's final snapshot its tags: DeleteCluster cannot.

    Absent is success. Only a snapshot of this generation's own cluster is tagged.
    Raises ForeignResource where the name belongs to another cluster's snapshot.
    """
    name = names.final_snapshot
    view = probe_snapshot(redshift, name)
    if view is None:
        return
    if view.cluster != names.cluster:
        raise ForeignResource(
            f"{SNAPSHOT} {name} is of cluster {view.cluster}; {names.cluster} was expected, so it is not ours to "
            "use or to delete. If nobody needs it, delete it by hand and clear this task."
        )
    if not same_generation(view.tags, tags):
        with translate_aws_errors(f"tag {SNAPSHOT} {name}", retry=_BUSY):
            redshift.create_tags(ResourceName=view.arn, Tags=as_tag_list(tags))


def list_owned_snapshots(redshift: RedshiftClient, environment: Environment) -> list[Owned]:
    """Every snapshot of the environment, oldest first."""
    return [_owned(view) for view in _own_snapshots(redshift, environment)]


def kept_snapshots(snapshots: Iterable[Owned], protected: Collection[str], keep: int) -> frozenset[str]:
    """The names that stay, of snapshots listed oldest first: the `protected` ones (those that the register names),
    and the newest `keep` that can be restored.
    """
    restorable = [item.name for item in snapshots if item.state in READY]
    return frozenset(protected).union(restorable[-keep:] if keep > 0 else ())


def prune_snapshots(
    redshift: RedshiftClient, environment: Environment, *, keep: int, protected: Collection[str]
) -> list[str]:
    """Delete our snapshots but the `kept_snapshots`, those still being taken, and those in a state that this version
    does not know (it may be one to restore from); returns the names of the deleted.

    Raises TeardownError or NotReady after all were tried.
    """
    owned = list_owned_snapshots(redshift, environment)
    kept = kept_snapshots(owned, protected, keep)
    old = [item.name for item in owned if item.name not in kept and item.state in DISPOSABLE]
    attempt_all(partial(delete_snapshot, redshift, environment, name) for name in old)
    return old


def delete_snapshot(redshift: RedshiftClient, environment: Environment, name: str) -> None:
    """Delete our snapshot; absent is success. Raises ForeignResource; NotReady while it is being taken or read."""
    view = probe_snapshot(redshift, name)
    if view is None or view.state == SnapshotState.DELETED:
        return
    check_ours(SNAPSHOT, name, view.tags, environment)
    with translate_aws_errors(f"delete {SNAPSHOT} {name}", ignore=_ABSENT, retry=_BUSY):
        redshift.delete_cluster_snapshot(SnapshotIdentifier=name, SnapshotClusterIdentifier=view.cluster)


def _own_snapshots(redshift: RedshiftClient, environment: Environment) -> list[SnapshotView]:
    with translate_aws_errors("list Redshift snapshots"):
        pages = redshift.get_paginator("describe_cluster_snapshots").paginate(SnapshotType="manual")
        named = [
            snapshot
            for page in pages
            for snapshot in page["Snapshots"]
            if is_ours(environment, snapshot.get("SnapshotIdentifier", ""), as_tags(snapshot.get("Tags")))
        ]
    return sorted((_view(snapshot) for snapshot in named), key=lambda view: (view.created_at, view.name))


def _view(snapshot: Mapping[str, Any]) -> SnapshotView:
    return SnapshotView(
        name=snapshot["SnapshotIdentifier"],
        arn=snapshot.get("SnapshotArn", ""),
        cluster=snapshot.get("ClusterIdentifier", ""),
        state=snapshot.get("Status", ""),
        created_at=snapshot.get("SnapshotCreateTime") or datetime.min.replace(tzinfo=UTC),
        tags=as_tags(snapshot.get("Tags")),
    )


def _owned(view: SnapshotView) -> Owned:
    return Owned(SNAPSHOT, view.name, view.name, view.tags, view.state)


KIND = Kind(
    title=SNAPSHOT,
    names=lambda names: (names.final_snapshot,) if names.slot is Slot.WAREHOUSE else (),
    list_owned=lambda aws, environment: list_owned_snapshots(aws.redshift, environment),
)
