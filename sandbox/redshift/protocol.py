"""PostgreSQL's wire protocol, version 3.0: framing, and the messages that the proxy itself sends and reads.

Source: PostgreSQL documentation, "Message Formats". A message is a type byte, a length that includes itself, and
a body; a client's first message has no type byte.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import NamedTuple

LENGTH = struct.Struct("!I")
VERSION_3 = 196608
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
_MAX_STARTUP = 10_000

IDLE, IN_TRANSACTION, FAILED = b"I", b"T", b"E"


class Field(NamedTuple):
    """A column of a query: its type by PostgreSQL's OID, and what the type's length or precision is packed into."""

    name: str
    type: int
    modifier: int


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One framed message."""
    return kind + LENGTH.pack(len(body) + 4) + body


def query_message(sql: str) -> bytes:
    return message(b"Q", sql.encode() + b"\0")


def ready(status: bytes) -> bytes:
    """ReadyForQuery with the transaction's status: idle, in a transaction, or failed."""
    return message(b"Z", status)


def command_complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


def notice(text: str) -> bytes:
    return message(b"N", _fields({"S": "INFO", "V": "INFO", "C": "00000", "M": text}))


def error_response(text: str, code: str, detail: str | None = None, severity: str = "ERROR") -> bytes:
    fields = {"S": severity, "V": severity, "C": code, "M": text}
    if detail:
        fields["D"] = detail
    return message(b"E", _fields(fields))


def error_from(fields: Mapping[str, str]) -> bytes:
    return message(b"E", _fields(fields))


def _fields(fields: Mapping[str, str]) -> bytes:
    return b"".join(name.encode() + value.encode() + b"\0" for name, value in fields.items()) + b"\0"


def parse_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse, by their letter."""
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def parse_row(body: bytes) -> list[str | None]:
    """The values of a DataRow in text format."""
    (count,) = struct.unpack_from("!h", body)
    offset = 2
    values: list[str | None] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, offset)
        offset += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[offset : offset + length].decode())
            offset += length
    return values


def parse_row_description(body: bytes) -> list[Field]:
    """The columns of a RowDescription."""
    (count,) = struct.unpack_from("!h", body)
    offset, fields = 2, []
    for _ in range(count):
        end = body.index(b"\0", offset)
        name = body[offset:end].decode()
        _, _, kind, _, modifier, _ = struct.unpack_from("!ihihih", body, end + 1)
        fields.append(Field(name, kind, modifier))
        offset = end + 19
    return fields


def parse_parameters(body: bytes) -> dict[str, str]:
    """A StartupMessage's parameters: user, database, …"""
    parts = [part.decode() for part in body.split(b"\0")]
    return {name: value for name, value in zip(parts[::2], parts[1::2], strict=False) if name}


def startup_message(parameters: Mapping[str, str]) -> bytes:
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    body = LENGTH.pack(VERSION_3) + pairs + b"\0"
    return LENGTH.pack(len(body) + 4) + body


async def read_startup(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """A client's first message: its code (a protocol version or a request code) and its body."""
    (length,) = LENGTH.unpack(await reader.readexactly(4))
    if not 8 <= length <= _MAX_STARTUP:
        raise ConnectionError(f"the first message has {length} bytes, so it is not in PostgreSQL's protocol")
    body = await reader.readexactly(length - 4)
    return LENGTH.unpack(body[:4])[0], body[4:]


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next message: its type and body."""
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(LENGTH.unpack(head[1:])[0] - 4)
