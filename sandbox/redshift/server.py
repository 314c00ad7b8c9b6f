"""Runs one cluster: the private PostgreSQL, and the proxy in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg2
from botocore.config import Config
from psycopg2 import sql

from sandbox.addresses import check_free
from sandbox.errors import PostgresError, SandboxError
from sandbox.postgres import Postgres
from sandbox.redshift.cluster import Cluster
from sandbox.redshift.control import ControlPlane
from sandbox.redshift.session import Session
from sandbox.tls import server_context

log = logging.getLogger(__name__)

_SUPERUSER = "rdsdb"
_WATCH_S = 0.5
_LOOK_S = 0.1  # for the file that lets connections in
_LINE_LIMIT = 1 << 20
_SETTINGS = {
    # As on Redshift: snapshot isolation by default (clusters created since May 2024), and backslash escapes, as in
    # PostgreSQL 8.0, on which Redshift is based.
    "default_transaction_isolation": "repeatable read",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "backslash_quote": "on",
}


@dataclass(frozen=True)
class Options:
    """The options of one cluster, set by the AWS process."""

    host: str
    port: int
    data_dir: Path
    cluster_id: str
    database: str
    admin_user: str
    aws_url: str
    accepting_file: Path | None = None


def run(options: Options) -> int:
    """Serve until SIGTERM; returns exit code 0 then, 1 if the cluster cannot start or PostgreSQL dies."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        check_free(options.host, options.port, f"Redshift cluster {options.cluster_id}")
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    # On the proxy's own address, which no other cluster uses, and the next port.
    postgres = Postgres(
        options.data_dir,
        host=options.host,
        port=options.port + 1,
        superuser=_SUPERUSER,
        settings=_SETTINGS,
    )
    try:
        with postgres:
            _ensure_database(postgres, options)
            cluster = _cluster(postgres, options)
            return asyncio.run(_serve(cluster, options))
    except PostgresError as error:
        print(f"Redshift cluster {options.cluster_id}: {error}", file=sys.stderr)
        return 1


def _cluster(postgres: Postgres, options: Options) -> Cluster:
    return Cluster(
        cluster_id=options.cluster_id,
        database=options.database,
        postgres=postgres,
        control=ControlPlane(options.aws_url, options.cluster_id),
        s3=_s3(options.aws_url),
        tls=server_context(options.host),
    )


def _s3(aws_url: str) -> Any:
    """An S3 client for the sandbox; it ignores the environment's proxies."""
    return boto3.client(
        "s3",
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or aws_url,
        region_name=os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        config=Config(proxies={}, retries={"mode": "standard", "max_attempts": 3}),
    )


def _ensure_database(postgres: Postgres, options: Options) -> None:
    """Create the admin, the database, and Redshift's functions and system tables, unless they exist."""
    with _connected(postgres, "postgres") as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (options.admin_user,))
        if cursor.fetchone() is None:
            admin = sql.Identifier(options.admin_user)
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE").format(admin))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (options.database,))
        if cursor.fetchone() is None:
            names = (sql.Identifier(options.database), sql.Identifier(options.admin_user))
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
    with _connected(postgres, options.database) as cursor:
        cursor.execute("SELECT to_regclass('pg_catalog.rs_layout')")
        if cursor.fetchone() == (None,):
            cursor.execute("SET allow_system_table_mods = on")
            # One query string is one transaction: the catalog is complete or absent.
            cursor.execute(Path(__file__).with_name("catalog.sql").read_text())


@contextlib.contextmanager
def _connected(postgres: Postgres, database: str) -> Any:
    connection = psycopg2.connect(**postgres.dsn(database))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


async def _serve(cluster: Cluster, options: Options) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await Session(cluster, reader, writer).run()
        except asyncio.CancelledError:
            writer.close()
        except Exception:
            log.exception("a session failed")
            writer.close()

    file = options.accepting_file
    if file is not None:
        print("ready", flush=True)
        await _watch(cluster, stopping, lambda: file.exists(), _LOOK_S)
    server = await asyncio.start_server(serve_client, options.host, options.port, limit=_LINE_LIMIT)
    if file is None:
        print("ready", flush=True)
    await _watch(cluster, stopping, lambda: False, _WATCH_S)
    server.close()
    if stopping.is_set():
        return 0
    print(
        f"PostgreSQL of Redshift cluster {options.cluster_id} died: see {cluster.postgres.log}",
        file=sys.stderr,
    )
    return 1


async def _watch(
    cluster: Cluster, stopping: asyncio.Event, is_over: Callable[[], bool], every_s: float
) -> None:
    """Return when `is_over`, or there is nothing to serve any more."""
    while not is_over() and not stopping.is_set() and cluster.postgres.alive:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), every_s)
