"""`sql`: restore a pipeline's latest snapshot into a warehouse, run a statement there, and delete the warehouse."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions
from botocore.exceptions import ClientError
from rich.console import Console

from sandbox.account import DEPLOYMENT, Account
from sandbox.errors import SandboxError
from sandbox.report import table
from sandbox.serve import open_account
from sandbox.state import Workspace

_TIMEOUT_S = 120.0
_POLL_S = 0.3


def run_statement(
    workspace: Workspace,
    console: Console,
    *,
    pipeline: str,
    statement: str,
    as_json: bool,
    deployment: str = DEPLOYMENT,
) -> int:
    """Print the result of `statement`, as a table or as JSON {columns, rows}."""
    with open_account(workspace, "sql") as account, _warehouse(account, pipeline, deployment) as dsn:
        columns, rows = _query(dsn, statement)
    if as_json:
        console.print(
            json.dumps({"columns": columns, "rows": rows}, default=str),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return 0
    for line in table(columns, rows) if columns else ["Done; the statement returns no rows"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def latest_snapshot(redshift: Any, pipeline: str, deployment: str = DEPLOYMENT) -> dict[str, Any]:
    """The newest available snapshot of the pipeline's warehouse, as AWS describes it.

    Raises SandboxError if there is none.
    """
    prefix = f"mayfly-{deployment}-{pipeline}-"
    found = [
        snapshot
        for page in redshift.get_paginator("describe_cluster_snapshots").paginate()
        for snapshot in page["Snapshots"]
        if snapshot["ClusterIdentifier"].startswith(prefix) and snapshot["Status"] == "available"
    ]
    if not found:
        raise SandboxError(
            f"There is no snapshot of {pipeline}'s warehouse: `python -m sandbox run {pipeline}` creates one"
        )
    newest: dict[str, Any] = max(found, key=lambda snapshot: snapshot["SnapshotCreateTime"])
    return newest


@contextlib.contextmanager
def _warehouse(account: Account, pipeline: str, deployment: str) -> Iterator[dict[str, Any]]:
    """Restore a temporary warehouse and yield its connection arguments; it is deleted at the end."""
    redshift = account.client("redshift")
    name = f"mayfly-sql-{secrets.token_hex(4)}"
    snapshot = latest_snapshot(redshift, pipeline, deployment)
    redshift.restore_from_cluster_snapshot(
        ClusterIdentifier=name,
        SnapshotIdentifier=snapshot["SnapshotIdentifier"],
        SnapshotClusterIdentifier=snapshot["ClusterIdentifier"],
    )
    try:
        yield connection_arguments(redshift, _wait_available(redshift, name))
    finally:
        _delete(redshift, name)


def connection_arguments(redshift: Any, cluster: dict[str, Any]) -> dict[str, Any]:
    """psycopg2's arguments to connect to an available cluster as its admin; `cluster` is as AWS describes it."""
    credentials = redshift.get_cluster_credentials(
        ClusterIdentifier=cluster["ClusterIdentifier"],
        DbUser=cluster["MasterUsername"],
        DbName=cluster["DBName"],
        DurationSeconds=900,
    )
    return {
        "host": cluster["Endpoint"]["Address"],
        "port": cluster["Endpoint"]["Port"],
        "dbname": cluster["DBName"],
        "user": credentials["DbUser"],
        "password": credentials["DbPassword"],
        "sslmode": "require",
        "connect_timeout": 10,
    }


def connect(dsn: dict[str, Any]) -> psycopg2.extensions.connection:
    """A connection to a warehouse that is available, which refuses connections for a moment yet."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return psycopg2.connect(**dsn)
        except psycopg2.OperationalError as error:
            if "Connection refused" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def _query(dsn: dict[str, Any], statement: str) -> tuple[list[str], list[list[Any]]]:
    try:
        connection = connect(dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                if cursor.description is None:
                    return [], []
                return [column.name for column in cursor.description], [
                    list(row) for row in cursor.fetchall()
                ]
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise SandboxError(f"The warehouse reports an error: {str(error).strip()}") from error


def _wait_available(redshift: Any, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        cluster: dict[str, Any] = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"][0]
        if cluster["ClusterStatus"] == "available":
            return cluster
        if cluster["ClusterStatus"] not in ("creating", "restoring") or time.monotonic() > deadline:
            raise SandboxError(f"The restored warehouse {name} is {cluster['ClusterStatus']}, not available")
        time.sleep(_POLL_S)


def _delete(redshift: Any, name: str) -> None:
    """Repeat the request until the cluster is deleted: AWS refuses it while the cluster is still being restored."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            redshift.delete_cluster(ClusterIdentifier=name, SkipFinalClusterSnapshot=True)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("ClusterNotFound", "ClusterNotFoundFault"):
                return
            if code not in ("InvalidClusterState", "InvalidClusterStateFault"):
                raise
        time.sleep(_POLL_S)
    raise SandboxError(f"The warehouse {name} could not be deleted within {_TIMEOUT_S:.0f} s")
