"""Connections to a world's warehouses, as psycopg2 makes them: transactions, errors, and faults on the wire.

A transaction works on a copy of the warehouse's content, opened at its first statement, which takes the
content's place at commit; one that was overtaken meanwhile is undone, as where isolation is serializable.
On the wire are each connecting, each COPY and UNLOAD, and each commit of something that changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple, Self, TypeVar

import psycopg2
from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
)

from tests.world.copy_command import Copy, LoadError
from tests.world.sqlite_redshift import Database, Rows, refused
from tests.world.timeline import Timeline
from tests.world.unload_command import Unload
from tests.world.warehouses import Warehouses
from tests.world.wire import AFTER, Fault, Kind, Wire, raise_if_killed

T = TypeVar("T")


class SqlWarehouses:
    """What answers at the warehouses' addresses."""

    def __init__(self, timeline: Timeline, wire: Wire, warehouses: Warehouses) -> None:
        self.timeline, self.wire, self.warehouses = timeline, wire, warehouses
        self._sessions = count(1)

    def connect(self, *, host: str, **_: Any) -> Connection:
        """In place of `psycopg2.connect`."""
        name = host.partition(".")[0]
        return self.send(
            "Connect", {"cluster": name}, lambda: self._open(name), lost=_unreachable, refused=_shut_out
        )

    def send(
        self,
        operation: str,
        params: Mapping[str, Any],
        act: Callable[[], T],
        *,
        lost: Callable[[], psycopg2.Error],
        refused: Callable[[Fault], psycopg2.Error],
    ) -> T:
        """What `act` answers over the wire. Raises Killed, and what `lost` or `refused` makes of a fault."""
        fault = self.wire.enter("warehouse", operation, params)
        if fault is not None and fault.kind not in AFTER:
            raise lost() if fault.kind in (Kind.ERROR, Kind.TIMEOUT) else refused(fault)
        answer = act()
        if fault is None:
            return answer
        raise_if_killed(fault, f"warehouse.{operation}")
        raise lost()

    def _open(self, name: str) -> Connection:
        if self.warehouses.find_open(name) is None:
            raise psycopg2.OperationalError(
                f'could not translate host name "{name}.world.test" to address: Name or service not known'
            )
        if not self.warehouses.takes_connections(name):
            raise psycopg2.OperationalError(
                f'connection to server at "{name}.world.test" (10.0.0.7), port 5439 failed: Connection refused\n'
                "\tIs the server running on that host and accepting TCP/IP connections?"
            )
        return Connection(self, name, next(self._sessions))


class Column(NamedTuple):
    name: str


class Connection:
    """As much of psycopg2's connection as `warehouse_connection` uses."""

    def __init__(self, server: SqlWarehouses, name: str, session: int) -> None:
        self._server, self._name, self._session = server, name, session
        self._base = b""
        self._database: Database | None = None
        self._status = TRANSACTION_STATUS_IDLE
        self._load_errors: list[LoadError] = []
        self.closed = 0

    @property
    def info(self) -> SimpleNamespace:
        return SimpleNamespace(transaction_status=self._status)

    def cursor(self) -> Cursor:
        self._require_open()
        return Cursor(self)

    def run(self, statement: str) -> tuple[list[str] | None, Rows]:
        """The columns and rows of a statement, which begins a transaction where none is open."""
        self._require_open()
        if self._status == TRANSACTION_STATUS_INERROR:
            raise refused("25P02", "current transaction is aborted, commands ignored until end of block")
        database = self._begin()
        try:
            if copy := Copy.parse(statement):
                return self._copy(database, copy)
            if unload := Unload.parse(statement):
                return self._unload(database, unload)
            return database.execute(statement)
        except psycopg2.Error:
            self._status = TRANSACTION_STATUS_IDLE if self.closed else TRANSACTION_STATUS_INERROR
            raise

    def commit(self) -> None:
        """One that failed is rolled back, as PostgreSQL does; whatever comes of it, the transaction is over."""
        self._require_open()
        database, status = self._database, self._status
        self.rollback()
        if database is not None and status == TRANSACTION_STATUS_INTRANS and database.changed:
            self._send("Commit", {}, lambda: self._write(database))

    def rollback(self) -> None:
        self._require_open()
        self._database, self._status = None, TRANSACTION_STATUS_IDLE

    def close(self) -> None:
        self._database, self._status = None, TRANSACTION_STATUS_IDLE
        self.closed = self.closed or 1

    def _begin(self) -> Database:
        if self._database is None:
            self._base = self._content()
            self._database = Database(
                self._base,
                {
                    "GETDATE": lambda: f"{self._server.timeline.now():%Y-%m-%d %H:%M:%S}",
                    "PG_BACKEND_PID": lambda: self._session,
                    "LOAD_ERRORS": lambda: json.dumps(self._load_errors),
                },
            )
            self._status = TRANSACTION_STATUS_INTRANS
        return self._database

    def _copy(self, database: Database, copy: Copy) -> tuple[None, Rows]:
        cluster = self._server.warehouses.find_open(self._name)
        assert cluster is not None
        self._send(
            "Copy",
            {"table": copy.table, "manifest": copy.manifest},
            lambda: copy.run(database, cluster, self._load_errors, self._server.wire.lag),
        )
        return None, []

    def _unload(self, database: Database, unload: Unload) -> tuple[None, Rows]:
        cluster = self._server.warehouses.find_open(self._name)
        assert cluster is not None
        self._send("Unload", {"prefix": unload.prefix}, lambda: unload.run(database, cluster))
        return None, []

    def _write(self, database: Database) -> None:
        if self._content() is not self._base:
            raise refused("40001", "1023: Serializable isolation violation: overtaken by another transaction")
        self._server.warehouses.contents[self._name] = database.content()

    def _content(self) -> bytes:
        """What is committed. Raises where the warehouse is gone."""
        if self._server.warehouses.find_open(self._name) is None:
            raise self._lose()
        return self._server.warehouses.contents[self._name]

    def _send(self, operation: str, params: Mapping[str, Any], act: Callable[[], None]) -> None:
        self._server.send(
            operation, {"cluster": self._name, **params}, act, lost=self._lose, refused=_refusal
        )

    def _lose(self) -> psycopg2.Error:
        self.close()
        self.closed = 2
        return psycopg2.OperationalError("server closed the connection unexpectedly")

    def _require_open(self) -> None:
        if self.closed:
            raise psycopg2.InterfaceError("connection already closed")


class Cursor:
    """As much of psycopg2's cursor; all rows are fetched when the statement is run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Rows = []
        self.description: list[Column] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str) -> None:
        names, self._rows = self._connection.run(statement)
        self.description = None if names is None else [Column(name) for name in names]

    def fetchall(self) -> Rows:
        if self.description is None:
            raise psycopg2.ProgrammingError("no results to fetch")
        return self._rows


def _refusal(fault: Fault) -> psycopg2.Error:
    code, message = {
        Kind.THROTTLED: ("40001", "1023: Serializable isolation violation: injected"),
        Kind.BUSY: ("40001", "1023: Serializable isolation violation: injected"),
        Kind.DENIED: ("42501", "permission denied: injected"),
        Kind.REFUSED: (fault.code, fault.message),
    }[fault.kind]
    return refused(code, message)


def _unreachable() -> psycopg2.Error:
    return psycopg2.OperationalError("could not connect to server: Connection timed out")


def _shut_out(fault: Fault) -> psycopg2.Error:
    """psycopg2 raises whatever keeps it from connecting as an OperationalError without a SQLSTATE."""
    message = {
        Kind.DENIED: 'password authentication failed for user "IAM:mayfly_admin"',
        Kind.THROTTLED: 'connection limit "500" exceeded for non-bootstrap users',
        Kind.BUSY: "the database system is starting up",
    }.get(fault.kind, fault.message)
    return psycopg2.OperationalError(f"FATAL:  {message}")
