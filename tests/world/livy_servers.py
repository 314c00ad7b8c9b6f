"""Livy servers, one a cluster, as an HTTP transport below the real LivyClient.

As on EMR they speak TLS, each with a certificate of its own that nobody signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests

from airflow_lib.errors import LivyUnreachable
from airflow_lib.spark.livy import LivyClient
from airflow_lib.spark.livy_http import LivyEndpoint, wrong_certificate
from tests.world.spark import JobRunner
from tests.world.timeline import Timeline
from tests.world.wire import AFTER, Kind, Wire, raise_if_killed

STARTING_S, STATEMENT_S = 20, 60
_STATUS = {Kind.ERROR: 500, Kind.THROTTLED: 503, Kind.BUSY: 502, Kind.DENIED: 403}
_DEAD = ("dead", "error", "killed", "shutting_down")


@dataclass
class Session:
    """A Livy session; `code` of every statement ever sent is kept, and `asked_for` is when a client last named it."""

    id: int
    name: str
    body: dict[str, Any]
    asked_for: datetime
    state: str = "starting"
    log: list[str] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "state": self.state, "appId": f"application_{self.id}"}


class LivyServers:
    """All servers. `down` refuses every connection; `never_start` leaves every session `starting`.

    `lost_after_s`: for how long the servers know a session, if not until its end. `forgets` has them list no statement.
    `kept_alive`: other clients ask for every session. `speak_tls` is what they all do; `odd` answers (status and body)
    instead of Livy; `certificates` are those that are not the host's first.
    """

    def __init__(
        self, timeline: Timeline, wire: Wire, serves: Callable[[str], bool], run_code: JobRunner
    ) -> None:
        self._timeline, self._wire, self._serves, self._run_code = timeline, wire, serves, run_code
        self._sessions: dict[str, dict[int, Session]] = {}
        self.made: list[Session] = []
        self._first = 0
        self.down = False
        self.never_start = False
        self.kept_alive = False
        self.forgets = False
        self.lost_after_s: float | None = None
        self.ending_s = 0.0
        self.speak_tls = True
        self.odd: tuple[int, bytes] | None = None
        self.certificates: dict[str, str] = {}

    def heal(self) -> None:
        """Let all servers answer as they should from now on."""
        self.down = self.never_start = self.forgets = False
        self.lost_after_s = self.odd = None

    def lose_sessions(self, after_s: float) -> None:
        """Let the servers forget every session `after_s` after it was made, and those that are there in `after_s`."""
        self.lost_after_s = after_s
        for session in self.listed():
            self._timeline.later(after_s, partial(self._lose, session))

    def contact(self, host: str, port: int, *, scheme: str, ca: str | None) -> LivyEndpoint:
        """What a step calls at first contact with a server: `livy_http.find_endpoint` without its network."""
        if self.down or not self._serves(host):
            raise LivyUnreachable(f"Livy at {host}: connection refused")
        if not self.speak_tls:
            return LivyEndpoint(f"http://{host}:{port}")
        return LivyEndpoint(f"https://{host}:{port}", self.fingerprint(host))

    def open(self, endpoint: LivyEndpoint) -> LivyClient:
        """What a step calls to talk to a server."""
        return LivyClient(endpoint, http=_Transport(self, endpoint))  # type: ignore[arg-type]

    def fingerprint(self, host: str) -> str:
        """The SHA-256 of a server's certificate."""
        return hashlib.sha256(self.certificates.get(host, host).encode()).hexdigest()

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
            if sessions.get(session.id) is session:
                del sessions[session.id]
        session.state = "killed"

    def restart(self) -> None:
        """Let every server come back: it knows no session, and counts them from 0 again."""
        for sessions in self._sessions.values():
            for session in sessions.values():
                session.state = "killed"
            sessions.clear()
        self._first = len(self.made)

    def _watch_heartbeat(self, session: Session) -> None:
        """Forget the session once no client named it for the time that its creation demands; a list names none.

        `SessionHeartbeat.scala` of Apache Livy 0.8: the servlet renews it wherever it takes one session by its id.
        """
        allowed_s = session.body["heartbeatTimeoutInSecond"]
        silent_s = (self._timeline.now() - session.asked_for).total_seconds()
        if silent_s >= allowed_s and not self.kept_alive:
            self.vanish(session)
        elif session in self.listed():
            self._timeline.later(
                max(allowed_s - silent_s, STATEMENT_S), partial(self._watch_heartbeat, session)
            )

    def _lose(self, session: Session) -> None:
        if self.lost_after_s is not None:  # nobody healed the servers
            self.vanish(session)

    def answer(
        self, endpoint: LivyEndpoint, method: str, url: str, body: Any, params: dict[str, int]
    ) -> tuple[int, bytes]:
        """Status and body of one request's answer. Raises requests' own errors, LivyUntrusted, and Killed."""
        parts = urlsplit(url)
        host = str(parts.hostname)
        fault = self._wire.enter("livy", f"{method} {_shape(parts.path)}", {"path": parts.path, "body": body})
        if self.down or not self._serves(host):
            raise requests.ConnectionError(f"connection to {host} refused")
        if (parts.scheme == "https") != self.speak_tls:
            raise requests.ConnectionError(f"{host} does not speak {parts.scheme}")
        if self.speak_tls and endpoint.fingerprint != self.fingerprint(host):
            raise wrong_certificate(endpoint, self.fingerprint(host))
        if fault is not None and fault.kind is Kind.TIMEOUT:
            raise requests.ConnectTimeout("injected")
        if fault is not None and fault.kind is Kind.ANSWERED:
            return int(fault.code), fault.message.encode()
        if fault is not None and fault.kind not in AFTER:
            return _STATUS.get(fault.kind, 400), json.dumps({"msg": fault.message}).encode()
        if self.odd is not None:
            return self.odd
        status, answer = self._route(host, method, parts.path.strip("/").split("/"), body, params)
        if fault is not None:
            raise_if_killed(fault, f"livy {method}")
            raise requests.ReadTimeout("injected")
        return status, json.dumps(answer).encode()

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
        session.asked_for = self._timeline.now()
        if len(path) == 2:
            return (200, session.view()) if method == "GET" else self._delete(sessions, session)
        if path[2] == "log":
            return 200, {"from": 0, "log": session.log[-params["size"] :]}
        return self._submit(session, body) if method == "POST" else self._statements(session)

    def _create(self, sessions: dict[int, Session], body: dict[str, Any]) -> tuple[int, Any]:
        name = body["name"]
        if any(session.name == name for session in sessions.values()):
            return 400, {"msg": f"Rejected, Reason: Duplicate session name: Some({name}) for session 0"}
        session_id, now = len(self.made) - self._first, self._timeline.now()
        session = Session(session_id, name, body, now, log=["stdout: ", "driver starts"])
        self.made.append(session)
        sessions[session.id] = session
        self._timeline.later(STARTING_S, lambda: self._start(session))
        self._watch_heartbeat(session)
        if self.lost_after_s is not None:
            self._timeline.later(self.lost_after_s, partial(self._lose, session))
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
        if session.state == "starting":  # or 200 and none (docs/livy.md)
            return 500, "java.lang.IllegalStateException: Session is in state starting"
        return 200, {"statements": [] if self.forgets else session.statements}


class _Transport:
    """The one method of requests.Session that LivyClient uses."""

    def __init__(self, servers: LivyServers, endpoint: LivyEndpoint) -> None:
        self._servers, self._endpoint = servers, endpoint

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        status, answer = self._servers.answer(
            self._endpoint, method, url, more.get("json"), more.get("params") or {}
        )
        response = requests.Response()
        response.status_code = status
        response.raw = BytesIO(answer)
        return response


def _shape(path: str) -> str:
    """A path with its session left out, so that a fault can name it."""
    parts = path.strip("/").split("/")
    return "/" + "/".join("{session}" if number == 1 else part for number, part in enumerate(parts))
