"""COPY of Parquet by manifest, as Mayfly renders it: columns are taken by their position, whatever their names.

The objects are read out of the account without a call: a real warehouse's requests are not Mayfly's.
Source: Redshift Database Developer Guide, "Using a manifest to specify data files".
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.redshift.models import Cluster
from psycopg2 import Error

from tests.world.late import IamLag
from tests.world.spark import get
from tests.world.sqlite_redshift import Database, refused

_COPY = re.compile(
    r'COPY "(?P<schema>\w+)"\."(?P<table>\w+)"\s+FROM \'(?P<manifest>s3://[^\']+)\'\s+'
    r"IAM_ROLE '(?P<role>[^']+)'\s+FORMAT AS PARQUET\s+MANIFEST"
)
_LENGTH = re.compile(r"VARCHAR\((\d+)\)")

_TAKEN = {
    "BIGINT": pa.types.is_int64,
    "INT": pa.types.is_int32,
    "DATE": pa.types.is_date32,
    "TIMESTAMP": pa.types.is_timestamp,
    "VARCHAR": pa.types.is_string,
}

LoadError = tuple[str, int, str, str, int, str]  # as the columns of stl_load_errors


@dataclass(frozen=True)
class Copy:
    """One COPY. `LoadError`s go to the session's own list, which outlives the transaction."""

    schema: str
    table: str
    manifest: str
    role: str

    @classmethod
    def parse(cls, statement: str) -> Copy | None:
        """None for what is no COPY."""
        if not statement.startswith("COPY "):
            return None
        match = _COPY.fullmatch(statement)
        if match is None:
            raise refused("42601", "syntax error in COPY, or more of it than this stand-in knows")
        return cls(**match.groupdict())

    def run(self, database: Database, cluster: Cluster, load_errors: list[LoadError], lag: IamLag) -> None:
        """Insert the manifest's rows. Raises psycopg2.Error."""
        columns = database.columns(self.schema, self.table)
        self._check_role(cluster)
        refused_for_now = lag.refuse_copy(self.role)
        if refused_for_now is not None:
            raise _failed(refused_for_now)
        for url in self._files():
            rows = self._read(url, columns, load_errors)
            if rows:
                database.insert(self.schema, self.table, rows)

    def _check_role(self, cluster: Cluster) -> None:
        roles = {role.arn for role in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].roles.values()}
        if self.role not in cluster.iam_roles_arn or self.role not in roles:
            raise _failed(f"User {cluster.master_username} is not authorized to assume IAM Role {self.role}")

    def _files(self) -> list[str]:
        entries = json.loads(self._object(self.manifest))["entries"]
        if not entries:
            raise _failed("Manifest file contains no entries")
        for entry in entries:
            found = len(self._object(entry["url"]))
            if found != entry["meta"]["content_length"]:
                raise _failed(f"Spectrum Scan Error: {entry['url']} has {found} bytes, not as meta says")
        return [entry["url"] for entry in entries]

    def _object(self, url: str) -> bytes:
        body = get(url)
        if body is None:
            raise _failed(f"S3ServiceException: The specified key does not exist, NoSuchKey: {url}")
        return body

    def _read(
        self, url: str, columns: list[tuple[str, str]], load_errors: list[LoadError]
    ) -> list[tuple[Any, ...]]:
        """The rows of a file; columns match by position."""
        try:
            table = pq.ParquetFile(io.BytesIO(self._object(url)), coerce_int96_timestamp_unit="us").read()
        except pa.ArrowInvalid:
            raise _failed(f"Spectrum Scan Error: {url} is not a Parquet file") from None
        _check_columns(url, table.schema, columns)
        rows = list(
            zip(
                *([_as_sqlite_has_it(value) for value in column.to_pylist()] for column in table.columns),
                strict=True,
            )
        )
        for number, row in enumerate(rows, start=1):
            for value, (name, kind) in zip(row, columns, strict=True):
                if not _fits(value, kind):
                    load_errors.append((url, number, name, kind, 1204, f"{value!r} does not fit"))
                    raise _failed(
                        f"Load into table '{self.table}' failed. Check 'stl_load_errors' for details."
                    )
        return rows


def _check_columns(url: str, schema: pa.Schema, columns: Sequence[tuple[str, str]]) -> None:
    """As Redshift does: the number of columns, and the type of each; not the names."""
    if len(schema) != len(columns):
        raise _failed(f"Spectrum Scan Error: Table columns: {len(columns)}, Data columns: {len(schema)}")
    for field, (name, kind) in zip(schema, columns, strict=True):
        if not _TAKEN[kind.partition("(")[0]](field.type):
            raise _failed(
                f"Spectrum Scan Error: File '{url}' has an incompatible Parquet schema for column '{url}.{name}'. "
                f"Column type: {kind}, Parquet schema: optional {field.type} {field.name}"
            )


def _fits(value: Any, kind: str) -> bool:
    """Whether a column of the right type takes the value; VARCHAR counts bytes."""
    length = _LENGTH.fullmatch(kind)
    return value is None or length is None or len(value.encode()) <= int(length[1])


def _as_sqlite_has_it(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else value


def _failed(message: str) -> Error:
    """XX000, as Redshift answers whatever its COPY cannot do."""
    return refused("XX000", message)
