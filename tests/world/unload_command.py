"""UNLOAD of a SELECT to one file, as Mayfly renders it: S3 has the file at once, whatever becomes of the transaction.

The objects are written into the account without a call: a real warehouse's requests are not Mayfly's.
Source: Redshift Database Developer Guide, "UNLOAD".
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.redshift.models import Cluster
from psycopg2 import Error

from tests.world.spark import put
from tests.world.sqlite_redshift import Database, Rows, refused

_UNLOAD = re.compile(
    r"UNLOAD \('(?P<select>(?:[^']|'')*)'\)\s+TO '(?P<prefix>s3://[^']+)'\s+IAM_ROLE '(?P<role>[^']+)'\s+"
    r"FORMAT AS (?:(?P<parquet>PARQUET)|CSV\s+HEADER\s+EXTENSION 'csv')\s+PARALLEL OFF\s+ALLOWOVERWRITE"
)


@dataclass(frozen=True)
class Unload:
    """One UNLOAD."""

    select: str
    prefix: str
    role: str
    parquet: bool

    @classmethod
    def parse(cls, statement: str) -> Unload | None:
        """None for what is no UNLOAD."""
        if not statement.startswith("UNLOAD "):
            return None
        match = _UNLOAD.fullmatch(statement)
        if match is None:
            raise refused("42601", "syntax error in UNLOAD, or more of it than this stand-in knows")
        select = match["select"].replace("''", "'")
        return cls(select, match["prefix"], match["role"], parquet=match["parquet"] is not None)

    def run(self, database: Database, cluster: Cluster) -> None:
        """Write the rows, if there are any. Raises psycopg2.Error."""
        if re.search(r"\bLIMIT \d+\Z", self.select):
            raise refused("0A000", "Limit clause is not supported")
        roles = {role.arn for role in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].roles.values()}
        if self.role not in cluster.iam_roles_arn or self.role not in roles:
            raise _failed(f"User {cluster.master_username} is not authorized to assume IAM Role {self.role}")
        columns, rows = database.execute(self.select)
        if rows and columns is not None:
            kind, body = ("parquet", _as_parquet) if self.parquet else ("csv", _as_csv)
            put(f"{self.prefix}000.{kind}", body(columns, rows))


def _as_parquet(columns: list[str], rows: Rows) -> bytes:
    sink = io.BytesIO()
    values = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.Table.from_arrays([pa.array(one) for one in values], names=columns), sink)
    return sink.getvalue()


def _as_csv(columns: list[str], rows: Rows) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return sink.getvalue().encode()


def read_unloaded(key: str, body: bytes) -> list[list[str]]:
    """The rows of a file that UNLOAD wrote, as text."""
    if key.endswith(".csv"):
        return list(csv.reader(io.StringIO(body.decode())))[1:]
    return [[str(value) for value in row.values()] for row in pq.read_table(io.BytesIO(body)).to_pylist()]


def _failed(message: str) -> Error:
    return refused("XX000", message)
