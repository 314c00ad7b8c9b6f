"""Connections to a warehouse that only note what they are told: no SQL is run in this world."""

from __future__ import annotations

from typing import Any

from airflow_lib.errors import ConnectionLost
from airflow_lib.warehouse import Endpoint


class Connections:
    """`statements` is what was sent, by any; `lost` lets every attempt to connect fail."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.lost = False

    def open(self, redshift: Any, endpoint: Endpoint) -> Connection:
        """In place of `warehouse.connect`."""
        if self.lost:
            raise ConnectionLost(f"Redshift at {endpoint.host} cannot be reached.")
        return Connection(self.statements)


class Connection:
    """As much of psycopg2's connection as the library's own SQL helpers use."""

    def __init__(self, statements: list[str]) -> None:
        self._statements = statements
        self.closed = 0

    def cursor(self) -> Connection:
        return self

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: Any, *_: Any) -> None:
        self._statements.append(str(statement))

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None:
        self.closed = 1
