"""A request that triggers a run with a window that is none is refused before there is a run.

Airflow checks each param by itself (JSON Schema), and has no hook that sees two of them before the run exists: a
timetable is not told the params, and a listener, a cluster policy and `plan` come later. But its form, and every other
client, sends one request, and a plugin may look at the web server's requests (`fastapi_root_middlewares`, Airflow 3.3).
So the form shows what is wrong, and stays open. `airflow dags trigger` writes to the database itself: there, and where
the web server's host lacks the plugins folder, `provision.preflight` refuses the window, before anything is created.

This is asked before Airflow asks who sends the request. It tells nothing but whether a window is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from airflow_lib.bounded_json import load_json
from airflow_lib.errors import SettingsError
from airflow_lib.pipeline import WindowUnit
from airflow_lib.pipeline.window import parse_window

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_TRIGGERS = re.compile(r"/api/v2/dags/([a-z][a-z0-9]{0,15})/dagRuns/?\Z")
_MAX_BODY = 100_000  # bytes; a longer request is let through, for the preflight to judge


class RefuseWindows:
    """Answers 400 to a request that triggers a run of a pipeline with a window that is reversed, empty or a half."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        found = _TRIGGERS.search(scope.get("path", "")) if scope.get("method") == "POST" else None
        if found is None or not _is_pipeline(found[1]):
            await self._app(scope, receive, send)
            return
        read, body = await _read(receive)
        mistake = find_mistake(body)
        if mistake:
            await _refuse(mistake, send)
            return

        async def again() -> Message:
            return read.pop(0) if read else await receive()

        await self._app(scope, again, send)


def find_mistake(body: bytes) -> str:
    """Why the window that the request gives is none; empty where it gives none, or what Airflow itself refuses.

    What the windows of the pipeline are made of is not known here: two bounds are a window where they are one of days,
    or of instants.
    """
    try:
        request = load_json(body, ValueError)
    except ValueError:
        return ""
    conf = request.get("conf") if isinstance(request, Mapping) else None
    if not isinstance(conf, Mapping):
        return ""
    given = {name: conf.get(name) for name in ("window_start", "window_end")}
    if not any(given.values()):
        return ""
    if not all(given.values()):
        return "Only one of window_start and window_end is given: give both, or neither."
    for unit in WindowUnit:
        try:
            parse_window(given, unit)
        except SettingsError as error:
            if error.__cause__ is not None and isinstance(
                error.__cause__, ValueError | TypeError | OverflowError
            ):
                continue  # not of this unit
            return error.message
    return ""


def _is_pipeline(dag_id: str) -> bool:
    from airflow_lib.spark.shipping import list_pipelines  # noqa: PLC0415  every process imports a plugin; few ask this

    return dag_id in list_pipelines()


async def _read(receive: Receive) -> tuple[list[Message], bytes]:
    """The messages of the request, and its body, of which too much is not read on."""
    read, body, more = [], b"", True
    while more and len(body) <= _MAX_BODY:
        message = await receive()
        read.append(message)
        body += message.get("body", b"")
        more = message.get("more_body", False) and message["type"] == "http.request"
    return read, body


async def _refuse(why: str, send: Send) -> None:
    """As Airflow answers where a param is not valid."""
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
