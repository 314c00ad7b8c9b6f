"""The Redshift simulator as a server: authentication, protocol, start and stop."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg2
import psycopg2.extensions
import pytest

from tests.sandbox.redshift_fakes import (
    AWS_HOST,
    HOST,
    Warehouse,
    end_of,
    running_warehouse,
    start_cluster,
    start_control_plane,
    stop_cluster,
)

pytestmark = pytest.mark.sandbox

NOWHERE = f"http://{AWS_HOST}:1"
OTHER_HOST = HOST[:-1] + "2"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("redshift") / "data")


def test_a_temporary_password_opens_an_encrypted_connection(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    assert connection.info.ssl_in_use
    assert connection.server_version == 80002
    assert connection.encoding == "UTF8"
    connection.close()
    assert warehouse.ask("SELECT current_user, current_database()") == [("owner", "dev")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "guessed"}, 'password authentication failed for user "IAM:owner"'),
        ({"user": "owner"}, 'password authentication failed for user "owner"'),
        ({"user": "IAM:nobody"}, 'password authentication failed for user "IAM:nobody"'),
        ({"dbname": "prod"}, 'database "prod" does not exist'),
        (
            {"sslmode": "disable"},
            'no pg_hba.conf entry for host .*, user "IAM:owner", database "dev", SSL off',
        ),
    ],
)
def test_a_wrong_connection_is_refused(warehouse: Warehouse, changes: dict[str, str], reason: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match=reason):
        warehouse.connect(**changes)


def test_a_password_that_has_expired_is_refused(warehouse: Warehouse) -> None:
    warehouse.control.passwords["IAM:owner"] = ["temporary", "short-lived"]
    warehouse.connect(password="short-lived").close()
    warehouse.control.passwords["IAM:owner"] = ["temporary"]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        warehouse.connect(password="short-lived")


def test_bytes_of_another_protocol_close_only_that_connection(warehouse: Warehouse) -> None:
    with socket.create_connection((HOST, 5439), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(100) == b""
    assert warehouse.ask("SELECT 1") == [(1,)]


def test_a_query_can_be_cancelled(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    timer = threading.Timer(0.2, connection.cancel)
    timer.start()
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.QueryCanceled):
        cursor.execute("SELECT pg_sleep(20)")
    timer.join()
    connection.close()


def test_a_lost_client_leaves_no_open_transaction(warehouse: Warehouse) -> None:
    warehouse.ask("CREATE TABLE vanishing (a int)")
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute("LOCK vanishing")
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
    assert warehouse.ask("SET statement_timeout TO 5000; LOCK vanishing; SELECT count(*) FROM vanishing") == [
        (0,)
    ]
    connection.close()


def test_prepared_statements_are_refused_by_name(warehouse: Warehouse) -> None:
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="PREPARE"):
        warehouse.ask("PREPARE p AS SELECT 1")


def test_the_extended_query_protocol_is_refused_by_name(warehouse: Warehouse) -> None:
    async def ask() -> tuple[str, Any]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        login = {"user": "IAM:owner", "password": "temporary", "database": "dev"}
        connection = await asyncpg.connect(host=HOST, port=5439, ssl=context, **login)
        try:
            with pytest.raises(asyncpg.FeatureNotSupportedError) as caught:
                await connection.fetch("SELECT 1")
            return str(caught.value), await connection.execute("SELECT 1")
        finally:
            await connection.close()

    message, afterwards = asyncio.run(ask())
    assert "extended query protocol" in message
    assert afterwards == "SELECT 1"


def test_copied_data_can_be_started_again_and_a_dead_database_ends_the_cluster(tmp_path: Path) -> None:
    control = start_control_plane()
    url = f"http://{AWS_HOST}:{control.server_port}"
    here = Warehouse(control.state, None, OTHER_HOST)
    process = start_cluster(tmp_path / "a", url, NOWHERE, OTHER_HOST)
    here.ask("CREATE TABLE kept (a int SORTKEY); INSERT INTO kept VALUES (7)")
    open_session = here.connect()
    assert stop_cluster(process) == 0
    assert open_session.closed == 0  # the client notices the end at its next query
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # a snapshot, and its restore
    process = start_cluster(tmp_path / "b", url, NOWHERE, OTHER_HOST)
    assert here.ask("SELECT a, getdate() > '2020-01-01' FROM kept") == [(7, True)]
    postgres = int((tmp_path / "b" / "postmaster.pid").read_text().split()[0])
    os.kill(postgres, signal.SIGKILL)
    assert end_of(process) == 1  # the cluster ends with an error
    control.shutdown()
    control.server_close()


def test_connections_are_refused_until_they_are_let_in(tmp_path: Path) -> None:
    """As for a while after `available` (trinodb/trino issue 27902)."""
    control = start_control_plane()
    here, gate = Warehouse(control.state, None, OTHER_HOST), tmp_path / "accepting"
    process = start_cluster(
        tmp_path / "a", f"http://{AWS_HOST}:{control.server_port}", NOWHERE, OTHER_HOST, gate
    )
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        here.connect()
    gate.touch()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg2.OperationalError):
            here.connect().close()
            break
        time.sleep(0.1)
    assert here.ask("SELECT 1") == [(1,)]
    assert stop_cluster(process) == 0
    control.shutdown()
    control.server_close()


def test_an_aws_process_that_does_not_respond_is_reported(warehouse: Warehouse) -> None:
    warehouse.control.unresponsive = True
    with pytest.raises(
        psycopg2.OperationalError, match=f"The AWS process at http://{AWS_HOST}:.*does not respond"
    ):
        warehouse.connect()
    warehouse.control.unresponsive = False


def test_a_port_in_use_is_reported(warehouse: Warehouse, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.redshift", "--host", HOST, "--data-dir", str(tmp_path / "a")]
    command += ["--cluster-id", "wh-2", "--database", "d", "--admin-user", "u", "--aws-url", NOWHERE]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode != 0
    assert f"Redshift cluster wh-2 cannot listen on {HOST}:5439" in result.stderr
