"""A client of Apache Livy's REST API: sessions, statements, and their states. Nothing here waits.

Livy's documentation: https://livy.apache.org/docs/latest/rest-api.html. Behaviour beyond that page was measured
on Livy 0.8.0 and 0.9.0 (docs/livy.md); the contract suite checks the same behaviour of every server we use.
How a server is reached is `livy_http`; what a job is, and when to poll, is decided in `steps.transform`.
An answer is data from outside: whatever it is, it ends in a value or in one of our errors.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import requests
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from airflow_lib.bounded_json import MAX_TEXT, as_text
from airflow_lib.errors import (
    LivyError,
    LivyUnreachable,
    NotReady,
    SessionFailed,
    SessionInactive,
    StatementFailed,
    UnknownState,
)
from airflow_lib.spark.job_errors import describe_job_error
from airflow_lib.spark.livy_http import Answer, LivyEndpoint, not_livy, open_http, send

log = logging.getLogger(__name__)

_HEARTBEAT_TIMEOUT_S = 600  # Livy deletes a session that nobody reads for this long
_FAILURE_LOG_LINES = 40
_MAX_SESSIONS = 1000  # of a list, where Livy's default is 100: for a while it has those that ended, too
_TEXT_CHARS = 4000  # of a name, a log's line, an error's message


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
class StatementOutput:
    """What a statement that ended left: `text` is what it printed, the rest is the error's, where it raised one."""

    status: str
    text: str = ""
    ename: str | None = None
    evalue: str | None = None
    traceback: str = ""


@dataclass(frozen=True)
class StatementView:
    """A statement as Livy reports it; `output` is None until there is one, `progress` is 0 to 1."""

    id: int
    state: StatementState
    progress: float
    output: StatementOutput | None

    @property
    def finished(self) -> bool:
        """Whether the statement has ended and its output can be read.

        About one statement in 400 reads once as `available` without its output (measured on Livy 0.9.0): that one
        is not finished yet.
        """
        if self.state is StatementState.AVAILABLE:
            return self.output is not None
        return self.state not in _STATEMENT_PENDING

    def text(self, session: str, job: str) -> str:
        """What the statement printed; the names of `session` and `job` are for the error's message.

        Raises SourceError where the job refused its input, JobFault or StatementFailed where it raised anything else
        (`job_errors` tells which), StatementFailed where the statement ended without an output.
        """
        output = self.output
        if output is not None and output.status != "ok" and output.ename is not None:
            raise describe_job_error(job, output.ename, output.evalue, output.traceback)
        if output is None or self.state is not StatementState.AVAILABLE or output.status != "ok":
            raise StatementFailed(
                f"Statement {self.id} of Livy session {session}, job {job!r}, failed: it is {self.state}"
            )
        return output.text


def _shown(value: Any) -> Any:
    return as_text(value, _TEXT_CHARS) if isinstance(value, str) else value


def _share(value: Any) -> float:
    """Progress is for people: what is none is 0."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= 1 else 0.0


_Text = Annotated[str, BeforeValidator(_shown)]
_Id = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Session(BaseModel):
    """A session in Livy's JSON, of which the rest is not read."""

    id: _Id
    name: _Text | None = None
    state: _Text
    app_id: _Text | None = Field(default=None, alias="appId")


class _Sessions(BaseModel):
    """A list of sessions, of which those of others may be anything."""

    sessions: list[dict[str, Any]]


class _Output(BaseModel):
    status: _Text
    ename: _Text | None = None
    evalue: _Text | None = None
    traceback: list[_Text] | None = None
    data: dict[str, Any] | None = None


class _Statement(BaseModel):
    id: _Id
    state: _Text
    progress: Annotated[float, BeforeValidator(_share)] = 0.0
    output: _Output | None = None


class _Statements(BaseModel):
    statements: list[_Statement]


class _Log(BaseModel):
    log: list[_Text]


_Model = TypeVar("_Model", bound=BaseModel)


class LivyClient:
    """Requests to one Livy server. It keeps no state of its own, so a new client can be made for every call.

    Every request may raise what `livy_http.send` does.
    """

    def __init__(self, endpoint: LivyEndpoint, http: requests.Session | None = None) -> None:
        self._endpoint = endpoint
        self._http = http or open_http(endpoint)

    def probe_server(self) -> None:
        """Return where it is Livy that answers: with an object that has a list of sessions.

        Raises LivyUnreachable for anything else, such as a server or a proxy before it that has only started.
        """
        answer = self._get("/sessions", {"from": 0, "size": 1})
        sessions = answer.json.get("sessions") if isinstance(answer.json, dict) else None
        if not answer.ok or not isinstance(sessions, list):
            raise self._not_livy("list its sessions", answer)

    def probe_session(self, name: str) -> SessionView | None:
        """The session of that name, or None. Every probe renews the session's heartbeat."""
        answer = self._read(f"/sessions/{name}")
        return self._parse_session(answer) if answer is not None else None

    def create_session(self, spec: SessionSpec) -> SessionView:
        """A new session, or the one that has the name already.

        The name makes the request idempotent: Livy answers 400 "Duplicate session name" to a repeat, also to a
        repeat of a request whose response was lost. Raises LivyError where Livy refuses.
        """
        answer = self._send("POST", "/sessions", spec.body())
        if answer.status == 400 and b"Duplicate session name" in answer.body:
            existing = self.probe_session(spec.name)
            if existing is not None:
                return existing
        return self._parse_session(self._parse_accepted(answer, f"create session {spec.name}"))

    def list_sessions(self, prefix: str) -> tuple[SessionView, ...]:
        """The sessions that Livy knows whose name begins so, whatever their state: of its first 1,000."""
        answer = self._get("/sessions", {"from": 0, "size": _MAX_SESSIONS})
        listed = self._parse(_Sessions, self._parse_accepted(answer, "list its sessions"), "its sessions")
        ours = [one for one in listed.sessions if str(one.get("name") or "").startswith(prefix)]
        return tuple(self._parse_session(one) for one in ours)

    def list_statements(self, session_id: int) -> tuple[StatementView, ...]:
        """The session's statements: none only where Livy says so.

        Raises NotReady where Livy answers 500, as it may for a session that starts, or whose driver does not answer: a
        job may be running then, and whoever took that for none would run it twice.
        Raises SessionInactive once it has ended (Livy answers 400 while it remembers the session, 404 after).
        """
        answer = self._get_patiently(f"/sessions/{session_id}/statements")
        if answer.status >= 500:
            raise NotReady(
                f"Livy to list the statements of session {session_id} ({answer.status}: {answer.reason})"
            )
        if _is_absent(answer) or (answer.status == 400 and _has_message(answer)):
            raise SessionInactive(
                f"Livy at {self._endpoint.url}: session {session_id} has ended, or is ending: {answer.reason}"
            )
        found = self._parse_accepted(answer, f"list statements of session {session_id}")
        listed = self._parse(_Statements, found, f"the statements of session {session_id}")
        return tuple(_view_statement(item) for item in listed.statements)

    def submit_statement(self, session_id: int, code: str) -> StatementView:
        """A new statement. A repeat would run the code twice: list the statements first."""
        answer = self._send("POST", f"/sessions/{session_id}/statements", {"code": code, "kind": "pyspark"})
        found = self._parse_accepted(answer, f"submit a statement to session {session_id}")
        return _view_statement(self._parse(_Statement, found, "a statement"))

    def read_log(self, session_id: int, *, size: int) -> list[str]:
        """The last lines of the session's log, at most `size`; none where there is no such session."""
        found = self._read(f"/sessions/{session_id}/log", {"from": -1, "size": size})
        return [] if found is None else self._parse(_Log, found, "a session's log").log[-size:]

    def failure(self, session: SessionView) -> SessionFailed:
        """The error to raise for a session that failed, with the end of its log."""
        try:
            lines = self.read_log(session.id, size=_FAILURE_LOG_LINES)
        except LivyError as error:
            lines = [f"(its log cannot be read: {error})"]
        return SessionFailed(
            f"Livy session {session.name} is {session.state}; idle or busy was expected "
            f"(YARN application {session.app_id or 'unknown'}). The end of its log:\n"
            + "\n".join(lines)[-MAX_TEXT:]
        )

    def delete_session(self, name: str) -> None:
        """Ask Livy to end the session, given by name or id; absent is success. Takes up to 10 s for a busy one."""
        answer = self._send("DELETE", f"/sessions/{name}")
        if not _is_absent(answer):
            self._parse_accepted(answer, f"delete session {name}")

    def _read(self, path: str, params: dict[str, int] | None = None) -> dict[str, Any] | None:
        answer = self._get(path, params)
        return None if _is_absent(answer) else self._parse_accepted(answer, f"read {path}")

    def _get(self, path: str, params: dict[str, int] | None = None) -> Answer:
        answer = self._get_patiently(path, params)
        if answer.status >= 500:
            raise LivyUnreachable(
                f"Livy at {self._endpoint.url} cannot answer GET {path} now: {answer.status} {answer.reason}. "
                "If that does not change, read Livy's log on the cluster's master."
            )
        return answer

    @retry(
        retry=retry_if_exception_type(LivyUnreachable),
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    def _get_patiently(self, path: str, params: dict[str, int] | None = None) -> Answer:
        return send(self._http, self._endpoint, "GET", path, params=params)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        return send(self._http, self._endpoint, method, path, body=body)

    def _parse_accepted(self, answer: Answer, what: str) -> dict[str, Any]:
        """The JSON object of an answer.

        Raises LivyError where Livy refused, LivyUnreachable where the answer is none of Livy's.
        """
        if answer.status in (400, 404) and not _is_refusal(answer):
            raise self._not_livy(what, answer)
        if not answer.ok:
            raise LivyError(
                f"Livy at {self._endpoint.url} refused to {what}: {answer.status} {answer.reason}"
            )
        if not isinstance(answer.json, dict):
            raise self._not_livy(what, answer)
        return answer.json

    def _not_livy(self, what: str, answer: Answer) -> LivyUnreachable:
        return not_livy(self._endpoint, what, f"{answer.status} {answer.reason[:200]!r}")

    def _parse_session(self, answer: dict[str, Any]) -> SessionView:
        found = self._parse(_Session, answer, "a session")
        state = _parse_state(SessionState, found.state, f"Livy session {found.id}")
        return SessionView(id=found.id, name=found.name, state=state, app_id=found.app_id)

    def _parse(self, model: type[_Model], answer: dict[str, Any], what: str) -> _Model:
        try:
            return model.model_validate(answer)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            path = as_text(".".join(str(part) for part in first["loc"]), 200)
            raise LivyError(
                f"Livy at {self._endpoint.url} described {what} in a way that Mayfly does not know: {path}: "
                f"{first['msg']}. Use the EMR release that Mayfly is written for, or upgrade Mayfly."
            ) from None


def _has_message(answer: Answer) -> bool:
    return isinstance(answer.json, dict) and isinstance(answer.json.get("msg"), str)


def _is_absent(answer: Answer) -> bool:
    """Whether Livy itself says that there is no such session; a proxy's 404 says nothing (SessionServlet.scala)."""
    return answer.status == 404 and _has_message(answer)


def _is_refusal(answer: Answer) -> bool:
    """Whether a 400 or 404 has one of the forms that Livy's have (JsonServlet.scala), and not those of a proxy."""
    return _has_message(answer) or (answer.status == 400 and isinstance(answer.json, str))


def _view_statement(found: _Statement) -> StatementView:
    output = None
    if found.output is not None:
        printed = (found.output.data or {}).get("text/plain")
        output = StatementOutput(
            status=found.output.status,
            text=as_text(printed, len(printed)) if isinstance(printed, str) else "",
            ename=found.output.ename,
            evalue=found.output.evalue,
            traceback=as_text("".join(found.output.traceback or ()), MAX_TEXT),
        )
    return StatementView(
        id=found.id,
        state=_parse_state(StatementState, found.state, f"Livy statement {found.id}"),
        progress=found.progress,
        output=output,
    )


_State = TypeVar("_State", SessionState, StatementState)


def _parse_state(kind: type[_State], value: str, thing: str) -> _State:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise UnknownState(
            f"{thing} is in state {value[:200]!r}; this version knows {known}. "
            "Use the EMR release that Mayfly is written for, or upgrade Mayfly."
        ) from None
