"""COPY of Parquet by manifest, as Mayfly renders it, with JSON rows in the place of Parquet.

The objects are read out of the account without a call: a real warehouse's requests are not Mayfly's.
Source: Redshift Database Developer Guide, "Using a manifest to specify data files".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

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
        rows = [tuple(row.values()) for row in json.loads(self._object(url))]
        for number, row in enumerate(rows, start=1):
            if len(row) != len(columns):
                raise _failed(f"Spectrum Scan Error: Table columns: {len(columns)}, Data columns: {len(row)}")
            for value, (name, kind) in zip(row, columns, strict=True):
                if not _fits(value, kind):
                    load_errors.append((url, number, name, kind, 1204, f"{value!r} does not fit"))
                    raise _failed(
                        f"Load into table '{self.table}' failed. Check 'stl_load_errors' for details."
                    )
        return rows


def _fits(value: Any, kind: str) -> bool:
    """Whether a column takes the value; VARCHAR counts bytes."""
    if value is None:
        return True
    if kind in ("BIGINT", "INT"):
        return type(value) is int
    if kind == "DATE":
        return isinstance(value, str) and value == str(date.fromisoformat(value))
    if kind == "TIMESTAMP":
        return isinstance(value, str) and value == datetime.fromisoformat(value).isoformat(sep=" ")
    length = _LENGTH.fullmatch(kind)
    assert length is not None, f"the stand-in's COPY does not know {kind}"
    return isinstance(value, str) and len(value.encode()) <= int(length[1])


def _failed(message: str) -> Error:
    """XX000, as Redshift answers whatever its COPY cannot do."""
    return refused("XX000", message)
