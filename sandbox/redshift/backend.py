"""The proxy's connection to PostgreSQL, one for each client; it holds the client's transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

from sandbox.errors import ErrorResponse
from sandbox.redshift import protocol

_CHUNK = 1 << 18

Message = tuple[bytes, bytes]


class Backend:
    """One connection; `status` is the state of its transaction after the last statement."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = bytearray()
        self._pending: deque[Message] = deque()
        self.status = protocol.IDLE

    @classmethod
    async def connect(
        cls, host: str, port: int, parameters: Mapping[str, str]
    ) -> tuple[Backend, list[Message]]:
        """Connect; returns the connection, and PostgreSQL's start-up messages for the client. Raises ErrorResponse."""
        backend = cls(*await asyncio.open_connection(host, port))
        backend._writer.write(protocol.startup_message(parameters))
        greeting = [message async for message in backend._until_ready()]
        for kind, body in greeting:
            if kind == b"E":
                backend.close()
                raise ErrorResponse(protocol.parse_fields(body))
        return backend, greeting

    def close(self) -> None:
        self._writer.close()

    async def query(self, sql: str) -> tuple[list[list[str | None]], str]:
        """Run a statement of the proxy itself; returns its rows as text, and its command tag. Raises ErrorResponse."""
        self._writer.write(protocol.query_message(sql))
        return await self._collect()

    async def fetch(self, sql: str) -> tuple[list[protocol.Field], list[list[str | None]]]:
        """The columns and rows of a query, as text. Raises ErrorResponse."""
        self._writer.write(protocol.query_message(sql))
        described: list[bytes] = []
        rows, _ = await self._collect(described)
        return [field for body in described for field in protocol.parse_row_description(body)], rows

    async def relay(self, sql: str, forward: Callable[[Sequence[Message]], Awaitable[None]]) -> bool:
        """Run SQL and pass every message but ReadyForQuery to `forward`; returns whether it succeeded."""
        self._writer.write(protocol.query_message(sql))
        succeeded, gathered = True, []
        async for kind, body in self._until_ready():
            if kind == b"E":
                succeeded = False
            if kind != b"Z":
                gathered.append((kind, body))
            if gathered and not self._pending:
                await forward(gathered)
                gathered = []
        if gathered:
            await forward(gathered)
        return succeeded

    async def copy_in(self, sql: str, chunks: AsyncGenerator[bytes]) -> str:
        """Run a COPY FROM STDIN with the data of `chunks`; returns its command tag.

        Raises ErrorResponse, or what `chunks` raises, which cancels the COPY.
        """
        self._writer.write(protocol.query_message(sql))
        error: Exception | None = None
        tag = ""
        async for kind, body in self._until_ready():
            if kind == b"G":
                error = await self._feed(chunks)
            elif kind == b"E":
                error = error or ErrorResponse(protocol.parse_fields(body))
            elif kind == b"C":
                tag = body[:-1].decode()
        if error is not None:
            raise error
        return tag

    async def fail(self) -> None:
        """Put an open transaction into the failed state, as an error does."""
        if self.status == protocol.IN_TRANSACTION:
            try:
                await self.query("SELECT 1/0")
            except ErrorResponse:
                return

    async def _feed(self, chunks: AsyncGenerator[bytes]) -> Exception | None:
        answer = asyncio.create_task(self._fill())
        error: Exception | None = None
        try:
            async with aclosing(chunks) as source:
                async for chunk in source:
                    self._writer.write(protocol.message(b"d", chunk))
                    await self._writer.drain()
                    if answer.done():  # after an error or a cancel, PostgreSQL takes no more data
                        break
            self._writer.write(protocol.message(b"c"))
        except Exception as raised:  # noqa: BLE001 - returned: PostgreSQL needs CopyFail first, whatever was raised
            self._writer.write(protocol.message(b"f", b"the source failed\0"))
            error = raised
        await answer
        return error

    async def _collect(self, described: list[bytes] | None = None) -> tuple[list[list[str | None]], str]:
        rows, tag, error = [], "", None
        async for kind, body in self._until_ready():
            if kind == b"T" and described is not None:
                described.append(body)
            elif kind == b"D":
                rows.append(protocol.parse_row(body))
            elif kind == b"C":
                tag = body[:-1].decode()
            elif kind == b"E":
                error = error or ErrorResponse(protocol.parse_fields(body))
        if error is not None:
            raise error
        return rows, tag

    async def _until_ready(self) -> AsyncIterator[Message]:
        """The messages up to and including ReadyForQuery, or a FATAL error."""
        while True:
            while not self._pending:
                await self._fill()
            kind, body = self._pending.popleft()
            if kind == b"Z":
                self.status = body
            yield kind, body
            if kind == b"Z" or (kind == b"E" and protocol.parse_fields(body).get("V") == "FATAL"):
                return

    async def _fill(self) -> None:
        """Read some bytes, and move the complete messages in the buffer to the pending ones."""
        data = await self._reader.read(_CHUNK)
        if not data:
            raise ConnectionError("PostgreSQL closed the connection")
        self._buffer += data
        position = 0
        while len(self._buffer) - position >= 5:
            (length,) = protocol.LENGTH.unpack_from(self._buffer, position + 1)
            end = position + 1 + length
            if end > len(self._buffer):
                break
            kind = bytes(self._buffer[position : position + 1])
            self._pending.append((kind, bytes(self._buffer[position + 5 : end])))
            position = end
        del self._buffer[:position]
