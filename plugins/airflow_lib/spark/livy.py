"""A client of Apache Livy's REST API: sessions, statements, and their states. Nothing here waits.

Livy's documentation: https://livy.apache.org/docs/latest/rest-api.html. Behaviour beyond that page was measured
on Livy 0.9.0 (docs/livy.md); the contract suite checks the same behaviour of every server we use.
What a job is, and when to poll, is decided in `steps.transform`.
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
    NotReady,
    SessionFailed,
    SessionInactive,
    SourceError,
    StatementFailed,
    UnknownState,
)

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT_S = 30.0
_HEARTBEAT_TIMEOUT_S = 600  # Livy deletes a session that nobody reads for this long
_FAILURE_LOG_LINES = 40


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


# A session that is shutting down has not ended yet: it will be dead, killed, or gone.
SESSION_PENDING = frozenset(
    {SessionState.NOT_STARTED, SessionState.STARTING, SessionState.RECOVERING, SessionState.SHUTTING_DOWN}
)
# `success` too: an interactive session runs until it is deleted, so one that ended by itself does no more work.
SESSION_FAILED = frozenset({SessionState.ERROR, SessionState.DEAD, SessionState.KILLED, SessionState.SUCCESS})


class StatementState(StrEnum):
    """Livy's states of a statement (StatementState.scala)."""

    WAITING = "waiting"
    RUNNING = "running"
    AVAILABLE = "available"
    ERROR = "error"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


_STATEMENT_PENDING = frozenset({StatementState.WAITING, StatementState.RUNNING, StatementState.CANCELLING})


@dataclass(frozen=True)
class SessionSpec:
    """A PySpark session to create: its name, its code, and its size; memory in MiB."""

    name: str
    py_files: tuple[str, ...]
    driver_memory_mib: int
    driver_cores: int
    executor_memory_mib: int
    executor_cores: int
    executors: int
    conf: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON of `POST /sessions`."""
        return {
            "kind": "pyspark",
            "name": self.name,
            "pyFiles": list(self.py_files),
            "driverMemory": f"{self.driver_memory_mib}m",
            "driverCores": self.driver_cores,
            "executorMemory": f"{self.executor_memory_mib}m",
            "executorCores": self.executor_cores,
            "numExecutors": self.executors,
            "heartbeatTimeoutInSecond": _HEARTBEAT_TIMEOUT_S,
            "conf": self.conf,
        }


@dataclass(frozen=True)
class SessionView:
    """A session as Livy reports it."""

    id: int
    name: str | None
    state: SessionState
    app_id: str | None


@dataclass(frozen=True)
class StatementView:
    """A statement as Livy reports it; `output` is None until there is one, `progress` is 0 to 1."""

    id: int
    state: StatementState
    progress: float
    output: dict[str, Any] | None

    @property
    def finished(self) -> bool:
        """Whether the statement has ended and its output can be read.

        About one statement in 400 reads once as `available` without its output (measured on Livy 0.9.0): that one
        is not finished yet.
        """
        if self.state is StatementState.AVAILABLE:
            return self.output is not None
        return self.state not in _STATEMENT_PENDING

    def text(self, session: str) -> str:
        """What the statement printed; `session` is the session's name, for the error's message.

        Raises SourceError where the job raised ValueError, which is how our jobs report input that they cannot
        read; StatementFailed, with the traceback, where it raised anything else or was cancelled.
        """
        output = self.output or {}
        if output.get("ename") == "ValueError":
            raise SourceError(str(output.get("evalue")))
        if self.state is not StatementState.AVAILABLE or output.get("status") != "ok":
            reason = f"{output.get('ename')}: {output.get('evalue')}" if output else f"it is {self.state}"
            trace = "".join(output.get("traceback") or ())
            raise StatementFailed(
                f"Statement {self.id} of Livy session {session} failed: {reason}\n{trace}".strip()
            )
        return str((output.get("data") or {}).get("text/plain", ""))


class LivyClient:
    """Requests to one Livy server. It keeps no state of its own, so a new client can be made for every call."""

    def __init__(self, url: str, http: requests.Session | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = http or requests.Session()

    def list_sessions(self) -> tuple[SessionView, ...]:
        """Every session of the server. An answer also shows that the server is up."""
        answer = self._read("/sessions", {"from": 0, "size": 1000})
        return tuple(_parse_session(item) for item in (answer or {}).get("sessions", ()))

    def probe_session(self, name: str) -> SessionView | None:
        """The session of that name, or None. Every probe renews the session's heartbeat."""
        answer = self._read(f"/sessions/{name}")
        return _parse_session(answer) if answer is not None else None

    def create_session(self, spec: SessionSpec) -> SessionView:
        """A new session, or the one that has the name already.

        The name makes the request idempotent: Livy answers 400 "Duplicate session name" to a repeat, also to a
        repeat of a request whose response was lost. Raises LivyError where Livy refuses.
        """
        response = self._send("POST", "/sessions", spec.body())
        if response.status_code == 400 and "Duplicate session name" in response.text:
            existing = self.probe_session(spec.name)
            if existing is not None:
                return existing
        return _parse_session(self._parse_accepted(response, f"create session {spec.name}"))

    def list_statements(self, session_id: int) -> tuple[StatementView, ...]:
        """The session's statements; none only where Livy says so.

        Raises NotReady where Livy answers 500, as it may for a session that starts: whether there are any is not
        known. Raises SessionInactive once it has ended (Livy answers 400 while it remembers the session, 404 after).
        """
        response = self._get(f"/sessions/{session_id}/statements")
        if response.status_code == 500:
            raise NotReady(f"Livy to list the statements of session {session_id} (500: {_reason(response)})")
        if response.status_code in (400, 404):
            raise SessionInactive(
                f"Livy at {self.url}: session {session_id} has ended, or is ending: {_reason(response)}"
            )
        answer = self._parse_accepted(response, f"list statements of session {session_id}")
        return tuple(_parse_statement(item) for item in answer.get("statements", ()))

    def submit_statement(self, session_id: int, code: str) -> StatementView:
        """A new statement. A repeat would run the code twice: list the statements first."""
        response = self._send("POST", f"/sessions/{session_id}/statements", {"code": code, "kind": "pyspark"})
        return _parse_statement(self._parse_accepted(response, f"submit a statement to session {session_id}"))

    def read_log(self, session_id: int, *, size: int) -> list[str]:
        """The last lines of the session's log, at most `size`; none where there is no such session."""
        answer = self._read(f"/sessions/{session_id}/log", {"from": -1, "size": size})
        return [str(line) for line in (answer or {}).get("log", ())]

    def failure(self, session: SessionView) -> SessionFailed:
        """The error to raise for a session that failed, with the end of its log."""
        try:
            lines = self.read_log(session.id, size=_FAILURE_LOG_LINES)
        except LivyError as error:
            lines = [f"(its log cannot be read: {error})"]
        return SessionFailed(
            f"Livy session {session.name} is {session.state}; idle or busy was expected "
            f"(YARN application {session.app_id or 'unknown'}). The end of its log:\n" + "\n".join(lines)
        )

    def delete_session(self, name: str) -> None:
        """Ask Livy to end the session, given by name or id; absent is success. Takes up to 10 s for a busy one."""
        response = self._send("DELETE", f"/sessions/{name}")
        if response.status_code != 404:
            self._parse_accepted(response, f"delete session {name}")

    def _read(self, path: str, params: dict[str, int] | None = None) -> dict[str, Any] | None:
        response = self._get(path, params)
        if response.status_code == 404:
            return None
        return self._parse_accepted(response, f"read {path}")

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
                timeout=_REQUEST_TIMEOUT_S,
                headers={"X-Requested-By": "mayfly"},  # Livy's CSRF protection, where it is on
            )
        except requests.RequestException as error:
            raise self._unreachable(f"no response to {method} {path} ({error})") from error
        if response.status_code in (502, 503, 504):
            raise self._unreachable(f"{response.status_code} in response to {method} {path}")
        return response

    def _unreachable(self, what: str) -> LivyUnreachable:
        return LivyUnreachable(
            f"Livy at {self.url} cannot be reached: {what}. Check that the EMR cluster is running, and that its "
            "security group lets Airflow's workers and triggerer in on this port."
        )

    def _parse_accepted(self, response: requests.Response, what: str) -> dict[str, Any]:
        """The JSON object of a response. Raises LivyError where Livy refused, or answered anything else."""
        if not response.ok:
            raise LivyError(
                f"Livy at {self.url} refused to {what}: {response.status_code} {_reason(response)}"
            )
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise LivyError(
                f"Livy at {self.url} was asked to {what} and answered {response.text[:200]!r}; a JSON object was "
                "expected. Check that it is a Livy server that answers at this address."
            )
        return answer


def _reason(response: requests.Response) -> str:
    """Livy's error message, which is `{"msg": ...}` or a bare JSON string."""
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        return response.text[:500]
    return str(answer.get("msg", answer)) if isinstance(answer, dict) else str(answer)


def _parse_session(answer: dict[str, Any]) -> SessionView:
    session_id = _parse_id("session", answer)
    return SessionView(
        id=session_id,
        name=answer.get("name"),
        state=_parse_state(SessionState, str(answer.get("state")), f"Livy session {session_id}"),
        app_id=answer.get("appId"),
    )


def _parse_statement(answer: dict[str, Any]) -> StatementView:
    statement_id = _parse_id("statement", answer)
    return StatementView(
        id=statement_id,
        state=_parse_state(StatementState, str(answer.get("state")), f"Livy statement {statement_id}"),
        progress=float(answer.get("progress") or 0.0),
        output=answer.get("output"),
    )


def _parse_id(kind: str, answer: dict[str, Any]) -> int:
    try:
        return int(answer["id"])
    except (KeyError, TypeError, ValueError):
        raise LivyError(
            f"Livy described a {kind} without a numeric id: {str(answer)[:200]}. "
            "Check that it is a Livy server that answers at this address."
        ) from None


_State = TypeVar("_State", SessionState, StatementState)


def _parse_state(kind: type[_State], value: str, thing: str) -> _State:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise UnknownState(
            f"{thing} is in state {value!r}; this version knows {known}. "
            "Use the EMR release that Mayfly is written for, or upgrade Mayfly."
        ) from None
