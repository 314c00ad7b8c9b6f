"""Runs a COPY on the client's own connection to PostgreSQL, so that it is part of the client's transaction."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import IO

import psycopg2
import pyarrow as pa

from sandbox.errors import ErrorResponse, RedshiftError
from sandbox.redshift.backend import Backend
from sandbox.redshift.cluster import Cluster
from sandbox.redshift.copy_command import CopyCommand, S3Object
from sandbox.redshift.copy_parquet import Column, csv_batches, open_checked
from sandbox.redshift.copy_source import Entry, Source
from sandbox.redshift.errors import load_error, not_supported
from sandbox.redshift.translate import bytes_check

_COLUMNS = """
SELECT attname, atttypid::regtype::text, format_type(atttypid, atttypmod), attidentity, attnum,
       attrelid::bigint
  FROM pg_catalog.pg_attribute
 WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_INSERT_LOAD_ERROR = """
INSERT INTO pg_catalog.stl_load_errors
       (userid, slice, session, tbl, query, filename, line_number, colname, type, col_length,
        raw_field_value, err_code, err_reason)
VALUES (100, 0, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_LINE = re.compile(r"line (\d+)(?:, column ([^:]+))?(?:: \"(.*)\")?", re.DOTALL)
_LENGTH = re.compile(r"\((\d+)\)")
# PostgreSQL's SQLSTATE -> Redshift's code and reason: Developer Guide, "Load error reference".
_REASONS = {
    "22001": (1204, "String length exceeds DDL length"),
    "23502": (1213, "Missing data for not-null field"),
    "22003": (1216, "Overflow"),
}
_SCAN_ERROR = 15001


@dataclass
class _Progress:
    """Which rows came from which file: `starts` holds each file's first row number."""

    rows: int = 0
    starts: list[tuple[int, S3Object]] = field(default_factory=list)

    def file_of(self, line: int) -> tuple[str, int]:
        """The URL of the file that has the COPY's n-th row (from 1), and the row's number in that file."""
        for start, target in reversed(self.starts):
            if line > start:
                return target.url, line - start
        return "", line


@dataclass(frozen=True)
class _LoadError:
    """A row of stl_load_errors."""

    file: str
    line: int
    column: Column | None
    value: str | None
    code: int
    reason: str


class Load:
    """Runs one COPY; raises RedshiftError or ErrorResponse."""

    def __init__(self, cluster: Cluster, backend: Backend, command: CopyCommand, user: str) -> None:
        self._cluster, self._backend, self._command, self._user = cluster, backend, command, user
        self._progress = _Progress()
        self._columns: list[Column] = []
        self._by_number: dict[int, Column] = {}
        self._table_id = 0
        self._query = 0
        self._session = 0

    async def run(self) -> str:
        """Load everything or nothing; returns the notice that Redshift sends to the client."""
        rows, _ = await self._backend.query("SELECT nextval('pg_catalog.rs_query_id'), pg_backend_pid()")
        self._query, self._session = (int(value or 0) for value in rows[0])
        source = Source(self._cluster, self._command, user=self._user, query=self._query)
        await self._find_columns()
        await asyncio.to_thread(source.check_role)
        entries = await asyncio.to_thread(source.entries)
        names = ", ".join('"' + column.name.replace('"', '""') + '"' for column in self._columns)
        statement = f"COPY {self._command.table} ({names}) FROM STDIN (FORMAT csv)"
        try:
            tag = await self._backend.copy_in(statement, self._csv(source, entries))
        except ErrorResponse as error:
            raise await self._translate_error(error) from None
        count = int(tag.split()[-1])
        await self._backend.query(
            f"SELECT set_config('rs.last_copy_count', '{count}', false),"
            f" set_config('rs.last_copy_id', '{self._query}', false)"
        )
        return (
            f"Load into table '{self._command.table_name}' completed, {count} record(s) loaded successfully."
        )

    async def _find_columns(self) -> None:
        rows, _ = await self._backend.query(_COLUMNS.format(table=self._command.table.replace("'", "''")))
        by_name: dict[str, Column] = {}
        identities = set()
        for name, kind, declared, identity, number, table_id in rows:
            self._table_id = int(table_id or 0)
            column = Column(str(name), str(kind), str(declared))
            by_name[column.name] = self._by_number[int(number or 0)] = column
            if identity:
                identities.add(column.name)
            else:
                self._columns.append(column)
        if self._command.columns:
            for name in self._command.columns:
                if name not in by_name:
                    raise RedshiftError(
                        f'column "{name}" of relation "{self._command.table_name}" does not exist', "42703"
                    )
                if name in identities:
                    raise not_supported("cannot set an identity column to a value")
            self._columns = [by_name[name] for name in self._command.columns]

    async def _csv(self, source: Source, entries: list[Entry]) -> AsyncGenerator[bytes]:
        """The rows of all files as CSV; each batch is prepared while PostgreSQL reads the one before."""
        for entry in entries:
            with tempfile.TemporaryFile() as data:
                if not await asyncio.to_thread(source.fetch, entry, data):
                    continue
                async for chunk in self._file(data, entry.target):
                    yield chunk

    async def _file(self, data: IO[bytes], target: S3Object) -> AsyncGenerator[bytes]:
        file = await asyncio.to_thread(open_checked, data, target, self._columns, self._query)
        self._progress.starts.append((self._progress.rows, target))
        batches = csv_batches(file)
        next_chunk = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
        try:
            while (chunk := await next_chunk) is not None:
                next_chunk = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
                yield chunk
        except (pa.ArrowException, OSError) as error:
            context = f"File '{target.url}' cannot be read: {error}"
            raise load_error(
                "Spectrum Scan Error", code=_SCAN_ERROR, context=context, query=self._query
            ) from None
        finally:
            await asyncio.gather(next_chunk, return_exceptions=True)
        self._progress.rows += file.metadata.num_rows

    async def _translate_error(self, error: ErrorResponse) -> RedshiftError | ErrorResponse:
        """PostgreSQL's error as Redshift reports it; if a value caused it, it is also recorded in stl_load_errors."""
        fields = error.fields
        code = "22001" if bytes_check(fields) else fields.get("C", "")
        if code[:2] not in {"22", "23"}:
            return error
        match = _LINE.search(fields.get("W", ""))
        line = int(match.group(1)) if match else 0
        value = (
            match.group(3) if match and match.group(2) else None
        )  # without a column, it would be the whole row
        column = self._failing_column(fields, match)
        file, file_line = self._progress.file_of(line)
        number, reason = _REASONS.get(code, (1200, fields.get("M", "")))
        failure = _LoadError(file, file_line, column, value, number, reason)
        await asyncio.to_thread(self._record_load_error, failure)
        name = column.name if column else "?"
        if code == "22001" and column is not None:
            size = f", Data: {len(value.encode())}" if value else ""
            context = (
                f"The length of the data column {name} is longer than the length defined in the table. "
                f"Table: {_length(column)}{size}, File name: {file}"
            )
        else:
            context = f"{reason}: column {name}, row {file_line}, File name: {file}"
        return load_error("Spectrum Scan Error", code=_SCAN_ERROR, context=context, query=self._query)

    def _failing_column(self, fields: dict[str, str], match: re.Match[str] | None) -> Column | None:
        too_long = bytes_check(fields)
        if too_long is not None:
            return self._by_number.get(too_long[0])
        name = fields.get("c") or (match.group(2) if match else None)
        return next((column for column in self._columns if column.name == name), None)

    def _record_load_error(self, error: _LoadError) -> None:
        """Insert into stl_load_errors on a separate connection, so that the client's rollback does not remove it."""
        connection = psycopg2.connect(**self._cluster.postgres.dsn(self._cluster.database))
        try:
            connection.autocommit = True
            column = error.column
            with connection.cursor() as cursor:
                cursor.execute(
                    _INSERT_LOAD_ERROR,
                    (
                        *(self._session, self._table_id, self._query, error.file[:256], error.line),
                        *((column.name, column.kind[:10], _length(column)) if column else (None, None, None)),
                        *((error.value or "")[:1024], error.code, error.reason[:400]),
                    ),
                )
        finally:
            connection.close()


def _length(column: Column) -> str:
    match = _LENGTH.search(column.declared)
    return match.group(1) if match else "0"
