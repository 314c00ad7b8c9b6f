"""`sql` queries a warehouse restored from the last run's snapshot, after everything was stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nets import unused_net
from sandbox_process import SandboxProcess

from sandbox.account import Account
from sandbox.addresses import Addresses
from sandbox.sql import connect, connection_arguments
from sandbox.stack import Aws
from sandbox.state import Workspace

pytestmark = pytest.mark.sandbox

CLUSTER = "mayfly-sandbox-trivial-warehouse-g1"


def wait_for(redshift: Any, status: str | None) -> dict[str, Any]:
    """Wait until the cluster has this status, or is deleted if `status` is None; returns the cluster or {}."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        clusters = redshift.describe_clusters()["Clusters"]
        if status is None and not clusters:
            return {}
        if clusters and clusters[0]["ClusterStatus"] == status:
            found: dict[str, Any] = clusters[0]
            return found
        time.sleep(0.2)
    raise AssertionError(f"the cluster is not {status or 'gone'}")


def leave_a_snapshot(account: Account, name: str, value: int) -> None:
    """Create (or restore) a warehouse, insert a row, and delete it with a final snapshot."""
    redshift = account.client("redshift")
    snapshots = redshift.describe_cluster_snapshots()["Snapshots"]
    if snapshots:
        redshift.restore_from_cluster_snapshot(
            ClusterIdentifier=CLUSTER,
            SnapshotIdentifier=snapshots[0]["SnapshotIdentifier"],
            SnapshotClusterIdentifier=snapshots[0]["ClusterIdentifier"],
        )
    else:
        redshift.create_cluster(
            ClusterIdentifier=CLUSTER,
            NodeType="ra3.large",
            ClusterType="single-node",
            DBName="mayfly",
            MasterUsername="mayfly",
            MasterUserPassword="Random1Password",
        )
    cluster = wait_for(redshift, "available")
    connection = connect(connection_arguments(redshift, cluster))
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (n INT, word VARCHAR(8))")
        cursor.execute("INSERT INTO kept VALUES (%s, NULL)", (value,))
    connection.close()
    redshift.delete_cluster(ClusterIdentifier=CLUSTER, FinalClusterSnapshotIdentifier=name)
    wait_for(redshift, None)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A stopped sandbox with the snapshots of two runs."""
    net = unused_net()
    process = SandboxProcess(tmp_path_factory.mktemp("sql") / "home", net=net)
    aws = Aws(Workspace(home=Path(process.home), addresses=Addresses(net)))
    try:
        aws.start(fresh=True)
        leave_a_snapshot(aws.account, "mayfly-sandbox-trivial-warehouse-final-g1", 1)
        leave_a_snapshot(aws.account, "mayfly-sandbox-trivial-warehouse-final-g2", 2)
    finally:
        aws.stop()
    yield process
    assert process.processes() == []


def test_the_result_from_the_latest_snapshot_is_printed_as_a_table(sandbox: SandboxProcess) -> None:
    answer = sandbox.run("sql", "trivial", "-c", "SELECT n, word FROM kept ORDER BY n")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["n  word", "-  ----", "1", "2"]


def test_with_json_the_result_is_columns_and_rows(sandbox: SandboxProcess) -> None:
    answer = sandbox.run("sql", "trivial", "--json", "-c", "SELECT n, word FROM kept WHERE n = 2")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {"columns": ["n", "word"], "rows": [[2, None]]}


def test_a_failed_statement_is_reported_with_the_warehouses_message(sandbox: SandboxProcess) -> None:
    answer = sandbox.run("sql", "trivial", "-c", "SELECT nosuch FROM kept")
    assert answer.returncode == 2
    assert 'column "nosuch" does not exist' in answer.stderr


def test_only_the_snapshots_are_left_afterwards(sandbox: SandboxProcess) -> None:
    found = sandbox.run("inventory").stdout
    assert "warehouse-final-g1" in found
    assert "warehouse-final-g2" in found
    assert "cluster" not in found
