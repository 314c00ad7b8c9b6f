"""One client's connection: start-up, authentication, and its queries."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Sequence

from sandbox.errors import ErrorResponse, RedshiftError, SandboxError
from sandbox.redshift import protocol
from sandbox.redshift.authentication import database_user, matches
from sandbox.redshift.backend import Backend, Message
from sandbox.redshift.cluster import Cluster
from sandbox.redshift.copy_load import Load
from sandbox.redshift.dialect import Kind, Plan, plan
from sandbox.redshift.errors import not_simulated
from sandbox.redshift.lexer import statements
from sandbox.redshift.translate import translate
from sandbox.redshift.unload_run import Unload

log = logging.getLogger(__name__)

_SERVER_VERSION = "8.0.2"
# Redshift's drivers send other start-up parameters, too, which PostgreSQL would refuse.
_KEPT_PARAMETERS = {"application_name", "client_encoding", "options", "DateStyle", "TimeZone"}
_EXTENDED = {b"P", b"B", b"D", b"E", b"C", b"H", b"F"}


class _ConnectionClosed(SandboxError):
    """Control flow within this module: the client has its last message, and the connection is to be closed."""

    def __init__(self) -> None:
        super().__init__("the connection is closed")


class Session:
    """Serves one client until it disconnects."""

    def __init__(self, cluster: Cluster, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._cluster, self._reader, self._writer = cluster, reader, writer
        self._backend: Backend | None = None
        self._user = ""

    @property
    def backend(self) -> Backend:
        if self._backend is None:
            raise RuntimeError("the session has not started")
        return self._backend

    async def run(self) -> None:
        """Return when the client has disconnected; its open transaction is rolled back."""
        try:
            parameters = await self._startup()
            await self._authenticate(parameters)
            await self._begin(parameters)
            while await self._serve_one():
                await self._writer.drain()
        except (_ConnectionClosed, asyncio.IncompleteReadError, ConnectionError):
            log.debug("a client disconnected")
        finally:
            if self._backend is not None:
                self._backend.close()
            self._writer.close()

    # -- start-up ----------------------------------------------------------------------------

    async def _startup(self) -> dict[str, str]:
        """Start TLS and return the client's parameters. A cancel request is forwarded, and closes the connection."""
        encrypted = False
        while True:
            code, body = await protocol.read_startup(self._reader)
            if code == protocol.CANCEL_REQUEST:
                await self._forward_cancel(body)
                raise _ConnectionClosed
            if code == protocol.SSL_REQUEST and not encrypted:
                self._writer.write(b"S")
                await self._writer.drain()
                await self._writer.start_tls(self._cluster.tls)
                encrypted = True
            elif code in {protocol.SSL_REQUEST, protocol.GSS_REQUEST}:
                self._writer.write(b"N")
            else:
                break
        parameters = protocol.parse_parameters(body)
        if code >> 16 != 3:
            await self._reject(f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}", "08P01")
        if not encrypted:
            host = (self._writer.get_extra_info("peername") or ("?",))[0]
            user, database = parameters.get("user", ""), parameters.get("database", "")
            await self._reject(
                f'no pg_hba.conf entry for host "{host}", user "{user}", database "{database}", SSL off',
                "28000",
            )
        return parameters

    async def _forward_cancel(self, body: bytes) -> None:
        postgres = self._cluster.postgres
        reader, writer = await asyncio.open_connection(postgres.host, postgres.port)
        code = protocol.LENGTH.pack(protocol.CANCEL_REQUEST)
        writer.write(protocol.LENGTH.pack(len(body) + 8) + code + body)
        await writer.drain()
        await reader.read()
        writer.close()

    async def _authenticate(self, parameters: dict[str, str]) -> None:
        login = parameters.get("user", "")
        salt = secrets.token_bytes(4)
        self._writer.write(protocol.message(b"R", protocol.LENGTH.pack(5) + salt))
        kind, body = await protocol.read_message(self._reader)
        user = database_user(login)
        passwords: list[str] = []
        if user is not None:
            try:
                passwords = await asyncio.to_thread(self._cluster.control.passwords, login)
            except RedshiftError as error:
                await self._reject(error.message, "08006")
        if kind != b"p" or user is None or not matches(body.rstrip(b"\0"), passwords, login, salt):
            await self._reject(f'password authentication failed for user "{login}"', "28000")
        self._user = user or ""

    async def _begin(self, parameters: dict[str, str]) -> None:
        database = parameters.get("database") or self._user
        chosen = {name: value for name, value in parameters.items() if name in _KEPT_PARAMETERS}
        postgres = self._cluster.postgres
        try:
            self._backend, greeting = await Backend.connect(
                postgres.host, postgres.port, {"user": self._user, "database": database, **chosen}
            )
        except ErrorResponse as error:
            self._writer.write(protocol.error_from(error.fields))
            await self._writer.drain()
            raise _ConnectionClosed from None
        for kind, body in greeting:
            is_version = kind == b"S" and body.startswith(b"server_version\0")
            shown = f"server_version\0{_SERVER_VERSION}\0".encode() if is_version else body
            self._writer.write(protocol.message(kind, shown))

    async def _reject(self, text: str, code: str) -> None:
        self._writer.write(protocol.error_response(text, code, severity="FATAL"))
        await self._writer.drain()
        raise _ConnectionClosed

    # -- queries -----------------------------------------------------------------------------

    async def _serve_one(self) -> bool:
        """Answer the client's next message; returns False if it is Terminate."""
        kind, body = await protocol.read_message(self._reader)
        if kind == b"X":
            return False
        if kind == b"Q":
            await self._answer(body[:-1].decode())
            self._writer.write(protocol.ready(self.backend.status))
        elif kind in _EXTENDED:
            await self._refuse_extended(kind)
        return True

    async def _refuse_extended(self, kind: bytes) -> None:
        await self._fail(not_simulated("The extended query protocol (prepared statements)"))
        while kind != b"S":  # the protocol: after an error, every message up to the next Sync is skipped
            kind, _ = await protocol.read_message(self._reader)
        self._writer.write(protocol.ready(self.backend.status))

    async def _answer(self, sql: str) -> None:
        """Run a query string; outside a transaction, all of its statements take effect or none."""
        opened = False
        try:
            plans = [plan(statement) for statement in statements(sql)]
            if not plans:
                self._writer.write(protocol.message(b"I"))
                return
            if all(item.kind in {Kind.PLAIN, Kind.BEGIN} for item in plans):
                await self._relay(";\n".join(item.sql for item in plans))
                return
            together = len(plans) > 1 and not any(item.kind is Kind.BEGIN for item in plans)
            opened = together and self.backend.status == protocol.IDLE
            await self._execute_all(plans, opened=opened)
        except RedshiftError as error:
            await self._fail(error)
        except ErrorResponse as error:
            self._writer.write(protocol.error_from(translate(error.fields)))
        if opened and self.backend.status != protocol.IDLE:
            await self.backend.query("ROLLBACK")

    async def _execute_all(self, plans: Sequence[Plan], *, opened: bool) -> None:
        for item in plans:
            if opened and self.backend.status == protocol.IDLE:
                await self.backend.query("BEGIN")
            if not await self._execute(item):
                return
        if opened and self.backend.status == protocol.IN_TRANSACTION:
            await self.backend.query("COMMIT")

    async def _execute(self, item: Plan) -> bool:
        if item.kind is Kind.COPY and item.copy is not None:
            loaded = await Load(self._cluster, self.backend, item.copy, self._user).run()
            self._writer.write(protocol.notice(loaded))
            self._writer.write(protocol.command_complete("COPY"))
            return True
        if item.kind is Kind.UNLOAD and item.unload is not None:
            unloaded = await Unload(self._cluster, self.backend, item.unload, item.sql, self._user).run()
            self._writer.write(protocol.notice(unloaded))
            self._writer.write(protocol.command_complete("UNLOAD"))
            return True
        if item.kind is Kind.VACUUM:
            if self.backend.status != protocol.IDLE:
                raise RedshiftError("VACUUM cannot run inside a transaction block", "25001")
            self._writer.write(protocol.command_complete("VACUUM"))
            return True
        if item.kind is Kind.SETTING:
            self._writer.write(protocol.command_complete("SET"))
            return True
        if item.layout is not None:
            layout = json.dumps(vars(item.layout)).replace("\\", "\\\\").replace("'", "''")
            await self.backend.query(f"SELECT set_config('rs.layout', '{layout}', false)")
        succeeded = await self._relay(item.sql)
        if succeeded and item.kind is Kind.TRUNCATE and self.backend.status == protocol.IN_TRANSACTION:
            await self.backend.query(
                "COMMIT"
            )  # TRUNCATE commits: Redshift Database Developer Guide, "TRUNCATE"
        return succeeded

    async def _relay(self, sql: str) -> bool:
        return await self.backend.relay(sql, self._forward)

    async def _forward(self, messages: Sequence[Message]) -> None:
        """Send PostgreSQL's messages to the client in one write: one TLS record per row would be slow."""
        framed = [
            protocol.error_from(translate(protocol.parse_fields(body)))
            if kind == b"E"
            else protocol.message(kind, body)
            for kind, body in messages
        ]
        self._writer.write(b"".join(framed))
        await self._writer.drain()

    async def _fail(self, error: RedshiftError) -> None:
        """Send the error to the client, and put an open transaction into the failed state, as Redshift does."""
        await self.backend.fail()
        self._writer.write(protocol.error_response(error.message, error.code, error.detail))
