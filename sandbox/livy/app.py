"""Livy's REST API over HTTP: its routes, and Livy's two formats of error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.errors import BadBody, IllegalState, Rejected, SessionNotFound
from sandbox.livy.create_request import CreateRequest
from sandbox.livy.manager import SessionManager
from sandbox.livy.session import Session

_LOG_LINES = 100
_SESSIONS = 100


def build(manager: SessionManager) -> Starlette:
    """The web application; its sessions end with it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        manager.start()
        yield
        await manager.stop()

    api = _Api(manager)
    return Starlette(
        routes=[
            Route("/sessions", api.list_sessions, methods=["GET"]),
            Route("/sessions", api.create, methods=["POST"]),
            Route("/sessions/{id}", api.show, methods=["GET"]),
            Route("/sessions/{id}", api.delete, methods=["DELETE"]),
            Route("/sessions/{id}/state", api.state, methods=["GET"]),
            Route("/sessions/{id}/log", api.log, methods=["GET"]),
            Route("/sessions/{id}/statements", api.list_statements, methods=["GET"]),
            Route("/sessions/{id}/statements", api.submit, methods=["POST"]),
            Route("/sessions/{id}/statements/{statement}", api.show_statement, methods=["GET"]),
            Route("/sessions/{id}/statements/{statement}/cancel", api.cancel, methods=["POST"]),
        ],
        exception_handlers={
            Rejected: lambda _, error: JSONResponse({"msg": str(error)}, 400),
            SessionNotFound: lambda _, error: JSONResponse({"msg": str(error)}, 404),
            BadBody: lambda _, error: JSONResponse(str(error), 400),
            IllegalState: lambda _, error: JSONResponse(str(error), 500),
        },
        lifespan=lifespan,
    )


class _Api:
    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def _session(self, request: Request) -> Session:
        """The session by id or by name; each request for it renews its heartbeat."""
        wanted = request.path_params["id"]
        found = self._manager.get(int(wanted)) if wanted.isdigit() else self._manager.find_by_name(wanted)
        if found is None:
            raise SessionNotFound(f"Session '{wanted}' not found.")
        found.heartbeat()
        return found

    async def list_sessions(self, request: Request) -> Response:
        start, size = _number(request, "from", 0), _number(request, "size", _SESSIONS)
        sessions = self._manager.all()
        page = [session.view() for session in sessions[start : start + size]]
        return JSONResponse({"from": start, "total": len(sessions), "sessions": page})

    async def create(self, request: Request) -> Response:
        self._manager.check_capacity()
        session = self._manager.create(CreateRequest.parse(await _body(request)))
        return JSONResponse(session.view(), 201, {"Location": f"/sessions/{session.id}"})

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._session(request).view())

    async def state(self, request: Request) -> Response:
        session = self._session(request)
        return JSONResponse({"id": session.id, "state": session.state.value})

    async def log(self, request: Request) -> Response:
        session = self._session(request)
        lines = session.log()
        start, size = _number(request, "from", -1), _number(request, "size", _LOG_LINES)
        size = len(lines) if size < 0 else size
        start = max(0, len(lines) - size) if start < 0 else start
        page = lines[start : start + size]
        return JSONResponse({"id": session.id, "from": start, "total": len(lines), "log": page})

    async def delete(self, request: Request) -> Response:
        await self._manager.delete(self._session(request))
        return JSONResponse({"msg": "deleted"})

    async def list_statements(self, request: Request) -> Response:
        statements = await self._session(request).statements()
        if request.query_params.get("order", "").strip().lower() == "desc":
            statements.reverse()
        start, size = _number(request, "from", 0), _number(request, "size", len(statements))
        page = [statement.view() for statement in statements[start : start + size]]
        return JSONResponse({"total_statements": len(statements), "statements": page})

    async def submit(self, request: Request) -> Response:
        body = await _body(request)
        session = self._session(request)
        if not isinstance(body, dict) or unknown_fields(body):
            raise BadBody("Unrecognized field (class ExecuteRequest), not marked as ignorable")
        if not isinstance(body.get("code"), str):
            raise IllegalState("java.util.concurrent.ExecutionException: java.lang.NullPointerException")
        statement = session.submit(body["code"], body.get("kind"))
        where = f"/sessions/{session.id}/statements/{statement.id}"
        return JSONResponse(statement.view(), 201, {"Location": where})

    async def show_statement(self, request: Request) -> Response:
        session = self._session(request)
        statement = await session.find(_integer(request.path_params["statement"]))
        if statement is None:
            return JSONResponse("Statement not found", 404)
        return JSONResponse(statement.view())

    async def cancel(self, request: Request) -> Response:
        self._session(request).cancel(_integer(request.path_params["statement"]))
        return JSONResponse({"msg": "canceled"})


def unknown_fields(body: dict[str, Any]) -> set[str]:
    return set(body) - {"code", "kind"}


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise BadBody(f"Unrecognized token: {error}") from None


def _number(request: Request, key: str, default: int) -> int:
    text = request.query_params.get(key)
    return default if text is None else _integer(text)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Rejected(f'For input string: "{text}"') from None
