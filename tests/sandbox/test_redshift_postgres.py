"""A private PostgreSQL: it starts with a new and with existing data, and leaves no process running."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest

from sandbox.errors import PostgresError
from sandbox.postgres import Postgres

pytestmark = pytest.mark.sandbox

HOST = f"127.{20 + os.getpid() % 230}.3.1"


def ask(server: Postgres, sql: str, database: str = "postgres") -> list[tuple]:
    connection = psycopg2.connect(**server.dsn(database))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_it_can_be_stopped_concurrently(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "a", host=HOST, port=5505, superuser="owner").start()
    with ThreadPoolExecutor(4) as pool:
        for stopped in [pool.submit(server.stop) for _ in range(4)]:
            stopped.result()
    assert not server.alive


def test_data_is_kept_after_a_restart_and_in_a_copy(tmp_path: Path) -> None:
    with Postgres(tmp_path / "a", host=HOST, port=5501, superuser="owner") as server:
        server.create_database("shop")
        server.create_database("shop")
        ask(server, "CREATE TABLE t AS SELECT 7 AS n", "shop")
    assert not server.alive
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for directory in ("a", "b"):
        with Postgres(tmp_path / directory, host=HOST, port=5501, superuser="owner") as server:
            assert ask(server, "SELECT n FROM t", "shop") == [(7,)]


def test_a_port_in_use_is_reported_with_the_log(tmp_path: Path) -> None:
    with (
        Postgres(tmp_path / "a", host=HOST, port=5501, superuser="owner"),
        pytest.raises(PostgresError, match=r"did not start on \S+:5501(.|\n)*bind"),
    ):
        Postgres(tmp_path / "b", host=HOST, port=5501, superuser="owner").start()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with (
        Postgres(tmp_path / "a", host=HOST, port=5501, superuser="owner"),
        pytest.raises(PostgresError, match="in use by the PostgreSQL with process id"),
    ):
        Postgres(tmp_path / "a", host=HOST, port=5502, superuser="owner").start()


def test_a_directory_with_other_files_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("mine")
    with pytest.raises(PostgresError, match="holds files but is not a PostgreSQL data directory"):
        Postgres(tmp_path / "a", host=HOST, port=5501, superuser="owner").start()
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"


def test_it_ends_with_a_killed_parent_and_can_be_started_again(tmp_path: Path) -> None:
    script = (
        "import sys, time; from sandbox.postgres import Postgres\n"
        f"s = Postgres(sys.argv[1], host={HOST!r}, port=5501, superuser='owner').start()\n"
        "print(s._server_process().pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    ) as parent:
        server = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    server.wait(15)
    with Postgres(tmp_path / "a", host=HOST, port=5501, superuser="owner") as again:
        assert ask(again, "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_can_use_a_directory_that_nobody_cannot_enter() -> None:
    with tempfile.TemporaryDirectory() as closed:
        assert Path(closed).stat().st_mode & 0o077 == 0
        with Postgres(Path(closed) / "a", host=HOST, port=5501, superuser="owner") as server:
            assert psutil.Process(server._server_process().pid).username() == "nobody"
            ask(server, "CREATE TABLE t AS SELECT 7 AS n")
