"""Apache Livy's REST API: sessions, statements, and their states. Nothing here waits.

Livy's documentation: https://livy.apache.org/docs/latest/rest-api.html. What it does beyond that was measured
on 0.9.0 (docs/livy.md); the contract suite holds every server we use against it.
What a job is, and when to ask again, is `steps.transform`'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import requests
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from airflow_lib.errors import (
    LivyError,
    LivyUnreachable,
    SessionFailed,
    SessionInactive,
    SourceError,
    StatementFailed,
    UnknownState,
)

log = logging.getLogger(__name__)

_TIMEOUT_S = 30.0
_LOG_TAIL_LINES = 40


class SessionState(StrEnum):
    """Livy's states of a session (SessionState.scala)."""

    NOT_STARTED = "not_started"
    STARTING = "starting"
    RECOVERING = "recovering"
    IDLE = "idle"
    RUNNING = "running"
    BUSY = "busy"
    SHUTTING_DOWN = "shutting_down"
    ERROR = "error"
    DEAD = "dead"
    KILLED = "killed"
    SUCCESS = "success"


SESSION_READY = frozenset({SessionState.IDLE, SessionState.BUSY, SessionState.RUNNING})
# One that shuts down is not over yet: it will be dead, killed, or gone.
SESSION_PENDING = frozenset(
    {SessionState.NOT_STARTED, SessionState.STARTING, SessionState.RECOVERING, SessionState.SHUTTING_DOWN}
)
SESSION_FAILED = frozenset(set(SessionState) - SESSION_READY - SESSION_PENDING)


class StatementState(StrEnum):
    """Livy's states of a statement (StatementState.scala)."""

    WAITING = "waiting"
    RUNNING = "running"
    AVAILABLE = "available"
    ERROR = "error"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


STATEMENT_PENDING = frozenset({StatementState.WAITING, StatementState.RUNNING, StatementState.CANCELLING})


@dataclass(frozen=True)
class SessionSpec:
    """What a PySpark session asks of the cluster; memory in MiB."""

    name: str
    py_files: tuple[str, ...]
    driver_memory_mib: int
    driver_cores: int
    executor_memory_mib: int
    executor_cores: int
    executors: int
    conf: dict[str, str] = field(default_factory=dict)
    heartbeat_timeout_s: int = 600

    def body(self) -> dict[str, Any]:
        return {
            "kind": "pyspark",
            "name": self.name,
            "pyFiles": list(self.py_files),
            "driverMemory": f"{self.driver_memory_mib}m",
            "driverCores": self.driver_cores,
            "executorMemory": f"{self.executor_memory_mib}m",
            "executorCores": self.executor_cores,
            "numExecutors": self.executors,
            "heartbeatTimeoutInSecond": self.heartbeat_timeout_s,
            "conf": self.conf,
        }


@dataclass(frozen=True)
class SessionView:
    """A session as Livy tells it."""

    id: int
    name: str | None
    state: SessionState
    app_id: str | None


@dataclass(frozen=True)
class StatementView:
    """A statement as Livy tells it; `output` is None until there is one."""

    id: int
    state: StatementState
    progress: float
    output: dict[str, Any] | None

    @property
    def finished(self) -> bool:
        """About one statement in 400 reads once as available without its output: not finished yet."""
        if self.state is StatementState.AVAILABLE:
            return self.output is not None
        return self.state not in STATEMENT_PENDING

    def text(self, session: str) -> str:
        """What the statement printed.

        Raises SourceError where the job raised ValueError, which is how our jobs tell of input that they cannot
        read; StatementFailed, with the traceback, where it raised anything else or was cancelled.
        """
        output = self.output or {}
        if output.get("ename") == "ValueError":
            raise SourceError(str(output.get("evalue")))
        if self.state is not StatementState.AVAILABLE or output.get("status") != "ok":
            told = f"{output.get('ename')}: {output.get('evalue')}" if output else f"it is {self.state}"
            trace = "".join(output.get("traceback") or ())
            raise StatementFailed(
                f"Statement {self.id} of Livy session {session} failed. {told}\n{trace}".strip()
            )
        return str((output.get("data") or {}).get("text/plain", ""))


class LivyClient:
    """Requests to one Livy server; safe to make anew for every call."""

    def __init__(self, url: str, http: requests.Session | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = http or requests.Session()

    def list_sessions(self) -> tuple[SessionView, ...]:
        """All sessions; also the proof that the server answers."""
        answer = self._read("/sessions", {"from": 0, "size": 1000})
        return tuple(_session(item) for item in (answer or {}).get("sessions", ()))

    def probe_session(self, name: str) -> SessionView | None:
        """The session of that name, or None. Asking renews its heartbeat."""
        answer = self._read(f"/sessions/{name}")
        return _session(answer) if answer is not None else None

    def create_session(self, spec: SessionSpec) -> SessionView:
        """A new session, or the one that already bears the name.

        A session's name is its idempotency: Livy answers 400 "Duplicate session name" to a repeat, also
        to a repeat of a request whose answer was lost. Raises LivyError where Livy refuses.
        """
        response = self._send("POST", "/sessions", spec.body())
        if response.status_code == 400 and "Duplicate session name" in response.text:
            existing = self.probe_session(spec.name)
            if existing is not None:
                return existing
        return _session(self._accepted(response, f"create session {spec.name}"))

    def list_statements(self, session_id: int) -> tuple[StatementView, ...]:
        """The session's statements. While it starts Livy may answer 500: that is none yet.

        Raises SessionInactive once it is over (Livy answers 400 while it knows the session, 404 after).
        """
        response = self._get(f"/sessions/{session_id}/statements")
        if response.status_code == 500:
            return ()
        if response.status_code in (400, 404):
            raise SessionInactive(f"Livy at {self.url}: session {session_id} is over: {_reason(response)}")
        answer = self._accepted(response, f"list statements of session {session_id}")
        return tuple(_statement(item) for item in answer.get("statements", ()))

    def submit_statement(self, session_id: int, code: str) -> StatementView:
        """A new statement. Not safe to repeat blindly: list the statements first."""
        response = self._send("POST", f"/sessions/{session_id}/statements", {"code": code, "kind": "pyspark"})
        return _statement(self._accepted(response, f"submit a statement to session {session_id}"))

    def read_log(self, session_id: int, start: int = -1, size: int = 100) -> tuple[list[str], int]:
        """Up to `size` log lines from `start` (-1: the last ones), and the line to start from next."""
        answer = self._read(f"/sessions/{session_id}/log", {"from": start, "size": size})
        if answer is None:
            return [], max(start, 0)
        lines = [str(line) for line in answer.get("log", ())]
        return lines, int(answer.get("from", 0)) + len(lines)

    def failure(self, session: SessionView) -> SessionFailed:
        """The error to raise for a session that failed, with the tail of its log."""
        try:
            tail, _ = self.read_log(session.id, size=_LOG_TAIL_LINES)
        except LivyError as error:
            tail = [f"(its log cannot be read: {error})"]
        return SessionFailed(
            f"Livy session {session.name} is {session.state}, where idle was expected "
            f"(YARN application {session.app_id or 'unknown'}). The end of its log:\n" + "\n".join(tail)
        )

    def delete_session(self, name: str) -> None:
        """Ask Livy to end the session; absent is success. Livy blocks up to 10 s for a busy one."""
        response = self._send("DELETE", f"/sessions/{name}")
        if response.status_code != 404:
            self._accepted(response, f"delete session {name}")

    def _read(self, path: str, params: dict[str, int] | None = None) -> dict[str, Any] | None:
        response = self._get(path, params)
        if response.status_code == 404:
            return None
        return self._accepted(response, f"read {path}")

    @retry(
        retry=retry_if_exception_type(LivyUnreachable),
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    def _get(self, path: str, params: dict[str, int] | None = None) -> requests.Response:
        return self._send("GET", path, params=params)

    def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, int] | None = None,
    ) -> requests.Response:
        try:
            response = self._http.request(
                method,
                self.url + path,
                json=body,
                params=params,
                timeout=_TIMEOUT_S,
                headers={"X-Requested-By": "mayfly"},  # Livy's CSRF protection, where it is on
            )
        except requests.RequestException as error:
            raise LivyUnreachable(f"Livy at {self.url} does not answer {method} {path}: {error}") from error
        if response.status_code in (502, 503, 504):
            raise LivyUnreachable(f"Livy at {self.url} answers {response.status_code} to {method} {path}")
        return response

    def _accepted(self, response: requests.Response, what: str) -> dict[str, Any]:
        if not response.ok:
            raise LivyError(
                f"Livy at {self.url} refused to {what}: {response.status_code} {_reason(response)}"
            )
        try:
            answer = response.json()
        except requests.JSONDecodeError as error:
            raise LivyError(
                f"Livy at {self.url} answered no JSON to {what}: {response.text[:200]!r}"
            ) from error
        return answer if isinstance(answer, dict) else {}


def _reason(response: requests.Response) -> str:
    """Livy's error, which is `{"msg": ...}` or a bare JSON string."""
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        return response.text[:500]
    return str(answer.get("msg", answer)) if isinstance(answer, dict) else str(answer)


def _session(answer: dict[str, Any]) -> SessionView:
    return SessionView(
        id=int(answer["id"]),
        name=answer.get("name"),
        state=_state(SessionState, str(answer.get("state")), f"Livy session {answer['id']}"),
        app_id=answer.get("appId"),
    )


def _statement(answer: dict[str, Any]) -> StatementView:
    return StatementView(
        id=int(answer["id"]),
        state=_state(StatementState, str(answer.get("state")), f"Livy statement {answer['id']}"),
        progress=float(answer.get("progress") or 0.0),
        output=answer.get("output"),
    )


_State = TypeVar("_State", SessionState, StatementState)


def _state(kind: type[_State], value: str, thing: str) -> _State:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise UnknownState(f"{thing} is in state {value!r}; this release knows {known}") from None
