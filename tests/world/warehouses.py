"""Warehouses and their snapshots: moto keeps the records, `sandbox.aws.redshift_life` the states, the timeline says
when they change, and this module keeps what each of them holds."""

from __future__ import annotations

from contextlib import ExitStack

from moto.core import DEFAULT_ACCOUNT_ID
from moto.redshift.models import Cluster, RedshiftBackend, Snapshot, redshift_backends

from sandbox.aws import redshift_api
from sandbox.aws.redshift_life import Durations, WarehouseLives
from tests.world.bill import Bill
from tests.world.patching import restore_after
from tests.world.sqlite_redshift import empty, read_tables
from tests.world.timeline import Timeline

# A cluster may be gone before its final snapshot can be restored: the register must wait for that.
DURATIONS = Durations(
    creating_s=180,
    refusing_s=60,
    final_snapshot_s=60,
    final_available_s=120,
    manual_snapshot_s=60,
    deleting_s=60,
)


class Warehouses(WarehouseLives):
    """`contents` is what each warehouse holds, `kept` what each snapshot does, as `sqlite_redshift` reads it.

    `failing_snapshots` is how many of the next final snapshots are lost with their cluster.
    """

    def __init__(self, timeline: Timeline, region: str, bill: Bill) -> None:
        super().__init__(timeline)
        self._region, self._bill = region, bill
        self.contents: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.failing_snapshots = 0
        self._accepting: set[str] = set()

    @property
    def backend(self) -> RedshiftBackend:
        return redshift_backends[DEFAULT_ACCOUNT_ID][self._region]

    @property
    def live(self) -> list[Cluster]:
        return list(self.backend.clusters.values())

    @property
    def snapshots(self) -> dict[str, str]:
        """Name to state of every manual snapshot."""
        return {
            name: snapshot.status
            for name, snapshot in self.backend.snapshots.items()
            if snapshot.snapshot_type == "manual"
        }

    @property
    def loads(self) -> dict[str, set[str]]:
        """The runs whose load each warehouse holds."""
        return {name: _run_ids(content) for name, content in self.contents.items()}

    @property
    def saved(self) -> dict[str, set[str]]:
        """The runs whose load each snapshot holds that is there."""
        return {name: _run_ids(content) for name, content in self.kept.items() if name in self.snapshots}

    def takes_connections(self, name: str) -> bool:
        """Whether new connections are accepted: a minute after it is available."""
        return self.find_open(name) is not None and name in self._accepting

    def find_open(self, name: str) -> Cluster | None:
        """The warehouse of that name where it is available."""
        cluster = self.backend.clusters.get(name)
        return cluster if cluster is not None and cluster.status == "available" else None

    def install(self, patches: ExitStack) -> None:
        """Patch moto, which would decide on states by itself."""
        restore_after(patches, Cluster, RedshiftBackend)
        redshift_api.install_states(self)

    # What `WarehouseLives` asks

    @property
    def _durations(self) -> Durations:
        return DURATIONS

    def host_of(self, cluster: Cluster) -> str | None:
        return f"{cluster.cluster_identifier}.world.test" if cluster.status == "available" else None

    def final_tags(self, cluster: Cluster) -> list[dict[str, str]]:
        """None: Mayfly must not rely on AWS to copy the cluster's."""
        return []

    def drop(self, snapshot: Snapshot) -> None:
        """What was kept of it stays, for tests to read."""

    def _add(self, cluster: Cluster, restored: Snapshot | None) -> None:
        name = cluster.cluster_identifier
        self.contents[name] = self.kept[restored.snapshot_identifier] if restored else empty()
        self._bill.begin(name)

    def _keep(self, snapshot: Snapshot, cluster: Cluster) -> bool:
        if self.failing_snapshots:
            self.failing_snapshots -= 1
            return False
        self.kept[snapshot.snapshot_identifier] = self.contents[cluster.cluster_identifier]
        return True

    def _keep_live(self, snapshot: Snapshot, cluster: Cluster) -> bool:
        self.kept[snapshot.snapshot_identifier] = self.contents[cluster.cluster_identifier]
        return True

    def _accept(self, cluster: Cluster) -> None:
        self._accepting.add(cluster.cluster_identifier)

    def _stop(self, cluster: Cluster) -> None:
        self._accepting.discard(cluster.cluster_identifier)

    def _end_billing(self, cluster: Cluster) -> None:
        self._bill.end(cluster.cluster_identifier)

    def _remove(self, cluster: Cluster) -> None:
        del self.contents[cluster.cluster_identifier]


def _run_ids(content: bytes) -> set[str]:
    (rows,) = read_tables(content, ["mayfly_loads"]).values()
    return {run_id for _, run_id, *_ in rows}
