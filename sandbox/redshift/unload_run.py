"""Runs an UNLOAD on the client's own connection to PostgreSQL, so that it sees what the client's transaction does.

What it wrote to S3 stays there, whatever becomes of the transaction. It writes no file of no row.
Source: Redshift Database Developer Guide, "UNLOAD"; that no row makes no file: spark-redshift-community/spark-redshift
issue 40.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.redshift.backend import Backend
from sandbox.redshift.cluster import Cluster
from sandbox.redshift.copy_command import S3Object
from sandbox.redshift.errors import load_error, not_supported
from sandbox.redshift.protocol import Field
from sandbox.redshift.unload_command import UnloadCommand

_S3_ERROR = 8001
_NOT_EMPTY = (
    "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually removing "
    "the target files in S3, or using the ALLOWOVERWRITE option."
)

# PostgreSQL's type by its OID: pg_type.dat.
_NUMERIC = 1700
_WITHOUT_TYPMOD = -1

Values = Sequence[str | None]


def _is_true(value: str) -> bool:
    return value == "t"


def _without_zone(value: str) -> datetime:
    """ "Only the timestamp values are unloaded" of a TIMESTAMPTZ."""
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)


_TYPES: dict[int, tuple[pa.DataType, Callable[[str], Any]]] = {
    16: (pa.bool_(), _is_true),
    20: (pa.int64(), int),
    21: (pa.int16(), int),
    23: (pa.int32(), int),
    25: (pa.string(), str),
    700: (pa.float32(), float),
    701: (pa.float64(), float),
    705: (pa.string(), str),
    1042: (pa.string(), str),
    1043: (pa.string(), str),
    1082: (pa.date32(), date.fromisoformat),
    1114: (pa.timestamp("us"), datetime.fromisoformat),
    1184: (pa.timestamp("us"), _without_zone),
}


class Unload:
    """Runs one UNLOAD; raises RedshiftError or ErrorResponse."""

    def __init__(
        self, cluster: Cluster, backend: Backend, command: UnloadCommand, sql: str, user: str
    ) -> None:
        self._cluster, self._backend, self._command = cluster, backend, command
        self._sql, self._user = sql, user
        self._query = 0

    async def run(self) -> str:
        """Write the rows; returns the notice that Redshift sends to the client."""
        rows, _ = await self._backend.query("SELECT nextval('pg_catalog.rs_query_id')")
        self._query = int(rows[0][0] or 0)
        await asyncio.to_thread(self._check_rights)
        fields, found = await self._backend.fetch(self._sql)
        if found:
            body = _as_parquet(fields, found) if self._command.parquet else self._as_csv(fields, found)
            await asyncio.to_thread(self._put, body)
        return f"UNLOAD completed, {len(found)} record(s) unloaded successfully."

    def _check_rights(self) -> None:
        """Developer Guide, "IAM permissions for COPY, UNLOAD, …": GET, LIST and PUT."""
        role, target = self._command.role, self._command.target
        if role not in self._cluster.control.roles():
            account = role.split(":")[4] if role.count(":") >= 5 else "000000000000"
            who = f"arn:aws:redshift:us-east-1:{account}:dbuser:{self._cluster.cluster_id}/{self._user}"
            raise self._error(f"User {who} is not authorized to assume IAM Role {role}", f"IAM Role={role}")
        bucket = f"arn:aws:s3:::{target.bucket}"
        context = {"s3:prefix": self._command.prefix.key}
        for action, resource in (
            ("s3:ListBucket", bucket),
            ("s3:GetObject", target.arn),
            ("s3:PutObject", target.arn),
        ):
            given = context if action == "s3:ListBucket" else {}
            reason = self._cluster.control.denial(role, action, resource, given)
            if reason is not None:
                raise self._error(
                    "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
                    f"{role} may not {action} on {resource} ({reason}): {target.url}",
                )
        if not self._command.overwrite and self._is_taken(self._command.prefix):
            raise self._error(_NOT_EMPTY, f"Prefix: {self._command.prefix.url}")

    def _is_taken(self, prefix: S3Object) -> bool:
        try:
            found = self._cluster.s3.list_objects_v2(Bucket=prefix.bucket, Prefix=prefix.key, MaxKeys=1)
        except (ClientError, BotoCoreError) as error:
            raise self._s3_error(error, prefix) from None
        return bool(found.get("KeyCount"))

    def _put(self, body: bytes) -> None:
        target = self._command.target
        try:
            self._cluster.s3.put_object(Bucket=target.bucket, Key=target.key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise self._s3_error(error, target) from None

    def _as_csv(self, fields: Sequence[Field], rows: Sequence[Values]) -> bytes:
        """A null and an empty text are both an empty field; a boolean is t or f."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        if self._command.header:
            writer.writerow([field.name for field in fields])
        writer.writerows(["" if value is None else value for value in row] for row in rows)
        return sink.getvalue().encode()

    def _s3_error(self, error: ClientError | BotoCoreError, target: S3Object) -> Exception:
        if isinstance(error, BotoCoreError):
            return self._error(f"S3ServiceException:{error}", f"File: {target.url}")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = error.response.get("Error", {})
        return self._error(
            f"S3ServiceException:{told.get('Message', '')},Status {status},Error {told.get('Code', '')}",
            f"Failed to write {target.url}",
        )

    def _error(self, text: str, context: str) -> Exception:
        return load_error(text, code=_S3_ERROR, context=context, query=self._query)


def _as_parquet(fields: Sequence[Field], rows: Sequence[Values]) -> bytes:
    columns = [_column(field, [row[at] for row in rows]) for at, field in enumerate(fields)]
    sink = io.BytesIO()
    table = pa.Table.from_arrays(columns, names=[field.name for field in fields])
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()


def _column(field: Field, values: Values) -> pa.Array:
    """Raises RedshiftError for a type that UNLOAD to Parquet does not take here."""
    if field.type == _NUMERIC:
        kind, convert = _decimal(field, values), Decimal
    elif field.type in _TYPES:
        kind, convert = _TYPES[field.type]
    else:
        raise not_supported(f"column {field.name}: its type is not supported for UNLOAD to PARQUET")
    return pa.array([None if value is None else convert(value) for value in values], kind)


def _decimal(field: Field, values: Values) -> pa.DataType:
    """By the declared precision and scale; the scale of an expression is that of its longest value."""
    if field.modifier != _WITHOUT_TYPMOD:
        packed = field.modifier - 4  # PostgreSQL: precision in the upper 16 bits, scale in the lower
        return pa.decimal128(packed >> 16, packed & 0x7FF)
    scales = [len(value.partition(".")[2]) for value in values if value is not None]
    return pa.decimal128(38, max(scales, default=0))
