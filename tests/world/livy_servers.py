"""Livy servers, one a cluster, as an HTTP transport below the real LivyClient."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from airflow_lib.spark.livy import LivyClient
from tests.world.spark import JobRunner
from tests.world.timeline import Timeline
from tests.world.wire import AFTER, Kind, Wire, raise_if_killed

STARTING_S, STATEMENT_S = 20, 60
_STATUS = {Kind.ERROR: 500, Kind.THROTTLED: 503, Kind.BUSY: 502, Kind.DENIED: 403}
_DEAD = ("dead", "error", "killed", "shutting_down")


@dataclass
class Session:
    """A Livy session; `code` of every statement ever sent is kept."""

    id: int
    name: str
    body: dict[str, Any]
    state: str = "starting"
    log: list[str] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "state": self.state, "appId": f"application_{self.id}"}


class LivyServers:
    """All servers. `down` refuses every connection; `never_start` lists jobs whose sessions stay `starting`."""

    def __init__(
        self, timeline: Timeline, wire: Wire, serves: Callable[[str], bool], run_code: JobRunner
    ) -> None:
        self._timeline, self._wire, self._serves, self._run_code = timeline, wire, serves, run_code
        self._sessions: dict[str, dict[int, Session]] = {}
        self.made: list[Session] = []
        self._first = 0
        self.down = False
        self.never_start = False
        self.ending_s = 0.0

    def open(self, url: str) -> LivyClient:
        """What a step calls to talk to a server."""
        return LivyClient(url, http=_Transport(self))  # type: ignore[arg-type]

    def find(self, job: str) -> Session:
        """The newest session of a job."""
        return next(session for session in reversed(self.made) if session.name.endswith(f"-{job}"))

    @property
    def hosts_used(self) -> set[str]:
        """The addresses of the servers on which a session was ever made."""
        return set(self._sessions)

    def listed(self) -> list[Session]:
        """The sessions that live servers still know."""
        return [one for host, them in self._sessions.items() if self._serves(host) for one in them.values()]

    def die(self, session: Session, *lines: str) -> None:
        """Let a session's driver die; `lines` are the last it logs."""
        session.state = "dead"
        session.log += lines

    def vanish(self, session: Session) -> None:
        """Let the servers forget a session, as they do after its heartbeat timed out."""
        for sessions in self._sessions.values():
            sessions.pop(session.id, None)
        session.state = "killed"

    def restart(self) -> None:
        """Let every server come back: it knows no session, and counts them from 0 again."""
        for sessions in self._sessions.values():
            for session in sessions.values():
                session.state = "killed"
            sessions.clear()
        self._first = len(self.made)

    def answer(self, method: str, url: str, body: Any, params: dict[str, int]) -> tuple[int, Any]:
        """Status and JSON of one request. Raises requests' own errors, and Killed."""
        parts = urlsplit(url)
        host = str(parts.hostname)
        fault = self._wire.enter("livy", f"{method} {_shape(parts.path)}", {"path": parts.path, "body": body})
        if self.down or not self._serves(host):
            raise requests.ConnectionError(f"connection to {host} refused")
        if fault is not None and fault.kind is Kind.TIMEOUT:
            raise requests.ConnectTimeout("injected")
        if fault is not None and fault.kind not in AFTER:
            return _STATUS.get(fault.kind, 400), {"msg": fault.message}
        status, answer = self._route(host, method, parts.path.strip("/").split("/"), body, params)
        if fault is not None:
            raise_if_killed(fault, f"livy {method}")
            raise requests.ReadTimeout("injected")
        return status, answer

    def _route(
        self, host: str, method: str, path: list[str], body: Any, params: dict[str, int]
    ) -> tuple[int, Any]:
        sessions = self._sessions.get(host, {})
        if len(path) == 1:
            if method == "POST":
                return self._create(self._sessions.setdefault(host, {}), body)
            return 200, {"sessions": [session.view() for session in sessions.values()]}
        session = next((one for one in sessions.values() if path[1] in (one.name, str(one.id))), None)
        if session is None:
            return 404, {"msg": f"Session '{path[1]}' not found."}
        if len(path) == 2:
            return (200, session.view()) if method == "GET" else self._delete(sessions, session)
        if path[2] == "log":
            return 200, {"from": 0, "log": session.log[-params["size"] :]}
        return self._submit(session, body) if method == "POST" else self._statements(session)

    def _create(self, sessions: dict[int, Session], body: dict[str, Any]) -> tuple[int, Any]:
        name = body["name"]
        if any(session.name == name for session in sessions.values()):
            return 400, {"msg": f"Rejected, Reason: Duplicate session name: Some({name}) for session 0"}
        session = Session(len(self.made) - self._first, name, body, log=["stdout: ", "driver starts"])
        self.made.append(session)
        sessions[session.id] = session
        self._timeline.later(STARTING_S, lambda: self._start(session))
        return 201, session.view()

    def _start(self, session: Session) -> None:
        if session.state == "starting" and not self.never_start:
            session.state = "idle"
            session.log.append("driver is up")

    def _delete(self, sessions: dict[int, Session], session: Session) -> tuple[int, Any]:
        session.state = "shutting_down"
        if self.ending_s:
            self._timeline.later(self.ending_s, lambda: sessions.pop(session.id, None))
        else:
            del sessions[session.id]
        return 200, {"msg": "deleted"}

    def _submit(self, session: Session, body: dict[str, Any]) -> tuple[int, Any]:
        if session.state in ("starting", *_DEAD):
            return 500, f"java.lang.IllegalStateException: Session is in state {session.state}"
        statement = {"id": len(session.statements), "state": "running", "progress": 0.0, "output": None}
        session.statements.append(statement)
        session.code.append(body["code"])
        session.state = "busy"
        session.log.append("job runs")
        self._timeline.later(STATEMENT_S / 2, lambda: statement.update(progress=0.5))
        self._timeline.later(STATEMENT_S, lambda: self._finish(session, statement, body["code"]))
        return 201, statement

    def _finish(self, session: Session, statement: dict[str, Any], code: str) -> None:
        """A driver that died, or whose cluster ended, finishes nothing."""
        if session.state == "busy" and session in self.listed():
            statement.update(state="available", progress=1.0, output=self._run_code(code))
            session.state = "idle"

    def _statements(self, session: Session) -> tuple[int, Any]:
        if session.state in _DEAD:
            return 400, {"msg": "requirement failed: Session isn't active."}
        return 200, {"statements": session.statements}


class _Transport:
    """The one method of requests.Session that LivyClient uses."""

    def __init__(self, servers: LivyServers) -> None:
        self._servers = servers

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        status, answer = self._servers.answer(method, url, more.get("json"), more.get("params") or {})
        response = requests.Response()
        response.status_code = status
        response._content = json.dumps(answer).encode()
        return response


def _shape(path: str) -> str:
    """A path with its session left out, so that a fault can name it."""
    parts = path.strip("/").split("/")
    return "/" + "/".join("{session}" if number == 1 else part for number, part in enumerate(parts))
