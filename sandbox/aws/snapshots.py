"""Redshift snapshots: a cold copy of a warehouse's data, kept in the state directory with what is known of it.

snapshots/<identifier>/data/           the warehouse's data directory, copied while PostgreSQL was down
snapshots/<identifier>/snapshot.json   written last: what has none is not whole, and is dropped at start
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from moto.redshift.models import Snapshot, redshift_backends

from sandbox.aws.context import ACCOUNT

# What Snapshot takes from its cluster, and a restore from the snapshot.
_CLUSTER_FIELDS = (
    "cluster_identifier",
    "port",
    "availability_zone",
    "master_username",
    "cluster_version",
    "node_type",
    "number_of_nodes",
    "db_name",
    "enhanced_vpc_routing",
    "encrypted",
)


class SnapshotStore:
    """The snapshots' directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def data(self, snapshot_id: str) -> Path:
        return self._root / snapshot_id / "data"

    def keep(self, snapshot: Snapshot, data_dir: Path) -> None:
        """Copy a warehouse that is down, then write down what it is."""
        target = self.data(snapshot.snapshot_identifier)
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir(parents=True)
        target.parent.chmod(0o755)
        copy_data(data_dir, target)
        self.write_record(snapshot)

    def write_record(self, snapshot: Snapshot) -> None:
        """Write down what is known of a snapshot whose data is kept; again, after its tags changed."""
        directory = self.data(snapshot.snapshot_identifier).parent
        known = {name: getattr(snapshot, name) for name in _CLUSTER_FIELDS}
        record = {
            "cluster": known,
            "snapshot_identifier": snapshot.snapshot_identifier,
            "region": snapshot.region,
            "tags": snapshot.tags,
            "create_time": snapshot.create_time.isoformat(),
        }
        draft = directory / "snapshot.json.new"
        draft.write_text(json.dumps(record, indent=1))
        draft.replace(directory / "snapshot.json")

    def drop(self, snapshot_id: str) -> None:
        shutil.rmtree(self._root / snapshot_id, ignore_errors=True)

    def reload(self) -> list[str]:
        """Give moto the snapshots of earlier starts; their identifiers."""
        found = []
        for directory in sorted(self._root.iterdir()):
            record_file = directory / "snapshot.json"
            if not record_file.exists():
                shutil.rmtree(directory, ignore_errors=True)
                continue
            record = json.loads(record_file.read_text())
            cluster = SimpleNamespace(**record["cluster"], master_user_password=None)
            snapshot = Snapshot(
                cluster, record["snapshot_identifier"], ACCOUNT, record["region"], record["tags"]
            )
            snapshot.create_time = datetime.fromisoformat(record["create_time"])
            redshift_backends[ACCOUNT][record["region"]].snapshots[snapshot.snapshot_identifier] = snapshot
            found.append(snapshot.snapshot_identifier)
        return found


def copy_data(source: Path, target: Path) -> None:
    """A copy that shares nothing with its source but, where the file system can, unchanged blocks."""
    subprocess.run(
        ["cp", "-a", "--reflink=auto", str(source), str(target)], check=True, capture_output=True, text=True
    )
