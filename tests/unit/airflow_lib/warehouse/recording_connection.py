"""A connection that records every statement, commit and rollback, and answers as a test scripts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS


class Column(NamedTuple):
    name: str


Rows = Sequence[tuple[Any, ...]]
_EMPTY = ("FROM mayfly_loads", "FROM pg_table_def")  # without rows unless a test has some


class RecordingConnection:
    """`answer(statement)` gives the rows of a statement, or raises.

    None answers one row of 0, or none where the ledger or the catalogue is read.
    """

    def __init__(
        self, answer: Callable[[str], Rows | None] = lambda _: None, columns: Sequence[str] = ("n",)
    ) -> None:
        self.log: list[str] = []
        self.closed = 0
        self.info = type("Info", (), {"transaction_status": TRANSACTION_STATUS_IDLE})()
        self.description = [Column(name) for name in columns]
        self._answer = answer
        self._rows: Rows = ()

    def cursor(self) -> RecordingConnection:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str) -> None:
        self.info.transaction_status = TRANSACTION_STATUS_INTRANS
        self.log.append(statement)
        rows = self._answer(statement)
        nothing: Rows = [] if any(one in statement for one in _EMPTY) else [(0,)]
        self._rows = nothing if rows is None else rows

    def fetchall(self) -> Rows:
        return self._rows

    def commit(self) -> None:
        self.info.transaction_status = TRANSACTION_STATUS_IDLE
        self.log.append("COMMIT")

    def rollback(self) -> None:
        self.info.transaction_status = TRANSACTION_STATUS_IDLE
        self.log.append("ROLLBACK")
