"""The warehouse's final snapshots: what it lives on in between runs.

Taking one is `redshift.delete_cluster`; restoring one is `redshift.ensure_cluster`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lib.errors import ForeignResource, UnknownState
from airflow_lib.lifecycle.rules import kept_snapshots
from airflow_lib.naming import Environment, Names, is_ours
from airflow_lib.resources.common import Owned, as_tag_list, as_tags, asking, attempt_all, foreign, same_birth

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

SNAPSHOT = "Redshift snapshot"

_ABSENT = frozenset({"ClusterSnapshotNotFound"})
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


@dataclass(frozen=True)
class SnapshotView:
    """A snapshot as Redshift describes it."""

    name: str
    arn: str
    cluster: str
    state: SnapshotState
    created_at: datetime
    tags: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether it can be restored: only then may the register name it."""
        return self.state in READY

    @property
    def failed(self) -> bool:
        return self.state in FAILED


def probe_snapshot(redshift: RedshiftClient, name: str) -> SnapshotView | None:
    """The snapshot as it is, or None where there is none of that name. Raises UnknownState."""
    with asking(f"describe {SNAPSHOT} {name}", ignoring=_ABSENT):
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
        raise ForeignResource(foreign(SNAPSHOT, name, names.environment))
    if not same_birth(view.tags, tags):
        with asking(f"tag {SNAPSHOT} {name}", again=_BUSY):
            redshift.create_tags(ResourceName=view.arn, Tags=as_tag_list(tags))


def list_owned_snapshots(redshift: RedshiftClient, environment: Environment) -> list[Owned]:
    """Every snapshot of the environment, oldest first."""
    return [_owned(view) for view in _own_snapshots(redshift, environment)]


def prune_snapshots(
    redshift: RedshiftClient, environment: Environment, *, keep: int, never: Collection[str]
) -> list[str]:
    """Delete our snapshots but the newest `keep` that can be restored; the answer names what went.

    Those in `never` (what the register names, and its predecessor) stay whatever their age, and so do those
    still being taken. Raises TeardownError or NotReady after all were tried.
    """
    views = [view for view in _own_snapshots(redshift, environment) if view.state not in PENDING]
    kept = kept_snapshots(never, [view.name for view in views if view.ready], keep)
    doomed = [view.name for view in views if view.name not in kept]
    attempt_all(partial(delete_snapshot, redshift, environment, name) for name in doomed)
    return doomed


def delete_snapshot(redshift: RedshiftClient, environment: Environment, name: str) -> None:
    """Delete our snapshot; absent is success. Raises ForeignResource; NotReady while it is being taken or read."""
    view = probe_snapshot(redshift, name)
    if view is None or view.state is SnapshotState.DELETED:
        return
    if not is_ours(environment, name, view.tags):
        raise ForeignResource(foreign(SNAPSHOT, name, environment))
    with asking(f"delete {SNAPSHOT} {name}", ignoring=_ABSENT, again=_BUSY):
        redshift.delete_cluster_snapshot(SnapshotIdentifier=name, SnapshotClusterIdentifier=view.cluster)


def _own_snapshots(redshift: RedshiftClient, environment: Environment) -> list[SnapshotView]:
    with asking("list Redshift snapshots"):
        pages = redshift.get_paginator("describe_cluster_snapshots").paginate(SnapshotType="manual")
        named = [
            snapshot
            for page in pages
            for snapshot in page["Snapshots"]
            if is_ours(environment, snapshot["SnapshotIdentifier"], as_tags(snapshot.get("Tags")))
        ]
    return sorted((_view(snapshot) for snapshot in named), key=lambda view: (view.created_at, view.name))


def _view(snapshot: Mapping[str, Any]) -> SnapshotView:
    name, status = snapshot["SnapshotIdentifier"], snapshot["Status"]
    try:
        state = SnapshotState(status)
    except ValueError:
        raise UnknownState(
            f"{SNAPSHOT} {name} is {status!r}, a state that this release does not know. "
            "Look at it in the Redshift console, then update Mayfly."
        ) from None
    return SnapshotView(
        name=name,
        arn=snapshot.get("SnapshotArn", ""),
        cluster=snapshot.get("ClusterIdentifier", ""),
        state=state,
        created_at=snapshot.get("SnapshotCreateTime") or datetime.min.replace(tzinfo=UTC),
        tags=as_tags(snapshot.get("Tags")),
    )


def _owned(view: SnapshotView) -> Owned:
    return Owned(SNAPSHOT, view.name, view.name, view.tags, view.state)
