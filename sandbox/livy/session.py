"""One session: its states, its queue of statements, and its JSON representation."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from sandbox.errors import DriverFailed, IllegalState, KernelDied, KernelError, Rejected
from sandbox.livy.create_request import KINDS, CreateRequest
from sandbox.livy.statements import Statement, StatementState

log = logging.getLogger(__name__)

_RETAINED_STATEMENTS = 100  # livy.rsc.retained-statements
_CANCEL_EVERY_S = 0.1  # livy.rsc.job-cancel.trigger-interval
_CANCEL_TIMEOUT_S = 30.0  # livy.rsc.job-cancel.timeout
_VIEW_LOG_LINES = 10  # InteractiveSessionServlet.clientSessionView


class SessionState(StrEnum):
    """Livy's session states, without those that no session here can have."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    SHUTTING_DOWN = "shutting_down"
    ERROR = "error"
    DEAD = "dead"


_FINISHED = (SessionState.ERROR, SessionState.DEAD)
_RUNNING = (SessionState.IDLE, SessionState.BUSY, SessionState.ERROR)
_ACTIVE = (SessionState.STARTING, *_RUNNING)


class Driver(Protocol):
    """What a session needs of its driver."""

    async def start(self) -> None: ...
    async def wait_jvm(self) -> None: ...
    async def run(self, number: int, code: str, kind: str) -> dict[str, Any]: ...
    async def progress(self, number: int) -> float | None: ...
    async def cancel(self, number: int) -> None: ...
    async def kill(self) -> None: ...
    def log(self) -> list[str]: ...


class Session:
    """A session; `open` starts it."""

    def __init__(
        self,
        number: int,
        request: CreateRequest,
        driver: Driver,
        clock: Callable[[], float] = time.monotonic,
        connect_timeout_s: float = 90.0,
    ) -> None:
        self.id, self.request = number, request
        self.state = SessionState.STARTING
        self.started_s = self.last_activity_s = self.last_heartbeat_s = clock()
        self.finished_s: float | None = None
        self.connected = asyncio.Event()  # or given up
        self._driver, self._clock, self._connect_timeout_s = driver, clock, connect_timeout_s
        self._statements: dict[int, Statement] = {}
        self._next_statement = 0
        self._queue: asyncio.Queue[Statement] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str | None:
        return self.request.name

    def open(self) -> None:
        """Start the driver; the session is `starting` until the driver is ready."""
        self._spawn(self._run())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            await self._start()
        except DriverFailed as error:
            log.warning("session %s could not start: %s", self.id, error)
            self.state = SessionState.SHUTTING_DOWN  # Livy has this state in between
            await self._driver.kill()
            self._die()
            return
        self._change_state(SessionState.IDLE)
        self.connected.set()
        self._spawn(self._run_statements())
        await self._driver.wait_jvm()
        self._die()
        await self._driver.kill()

    async def _start(self) -> None:
        """Wait until the driver is ready, within `livy.rsc.server.connect.timeout`. Raises DriverFailed."""
        try:
            await asyncio.wait_for(self._driver.start(), self._connect_timeout_s)
        except TimeoutError:
            # ContextLauncher.connectTimeout; Livy tells it in the server's log alone.
            raise DriverFailed("Timed out waiting for context to start.") from None

    def _die(self) -> None:
        self.connected.set()
        log.info("session %s: %s -> dead", self.id, self.state)
        self.state, self.finished_s = SessionState.DEAD, self._clock()

    def _change_state(self, state: SessionState) -> None:
        """Change to `state`, unless the session has ended."""
        if self.state is state or self.state not in _ACTIVE:
            return
        log.info("session %s: %s -> %s", self.id, self.state, state)
        self.state, self.last_activity_s = state, self._clock()
        self.finished_s = self.last_activity_s if state in _FINISHED else None

    async def close(self) -> None:
        """End the driver and every task that waits for it."""
        self.state = SessionState.SHUTTING_DOWN
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._driver.kill()
        self.connected.set()

    def heartbeat(self) -> None:
        """Note that the client sent a request."""
        self.last_heartbeat_s = self._clock()

    # -- statements -------------------------------------------------------------------------

    def submit(self, code: str, kind: str | None) -> Statement:
        """Queue a statement. Raises IllegalState if the session cannot take one."""
        if self.state not in _RUNNING:
            raise IllegalState(f"java.lang.IllegalStateException: Session is in state {self.state}")
        if kind is not None and kind not in KINDS:
            raise IllegalState(_remote(f"Invalid kind: {kind}"))
        chosen = KINDS[kind] if kind is not None else self.request.kind
        if chosen == "shared":
            raise IllegalState(_remote("Code type should be specified if session kind is shared"))
        statement = Statement(self._next_statement, code, chosen)
        self._next_statement += 1
        self._statements[statement.id] = statement
        if len(self._statements) > _RETAINED_STATEMENTS:
            del self._statements[min(self._statements)]
        self._queue.put_nowait(statement)
        self.last_activity_s = self._clock()
        return statement

    async def _run_statements(self) -> None:
        while True:
            statement = await self._queue.get()
            if statement.state is StatementState.WAITING:
                await self._execute(statement)
            if self._queue.empty() and self.state is SessionState.BUSY:
                self._change_state(SessionState.IDLE)

    async def _execute(self, statement: Statement) -> None:
        if self.state is SessionState.IDLE:
            self._change_state(SessionState.BUSY)
        statement.begin()
        try:
            output = await self._driver.run(statement.id, statement.code, statement.kind)
        except KernelDied:
            output = _error("Error", "Interpreter died:\n" + "\n".join(self._driver.log()[-20:]))
            self._change_state(SessionState.ERROR)
        except KernelError as error:
            output = _error("Internal Error", str(error))
        statement.finish({"execution_count": statement.id, **output})

    async def find(self, number: int) -> Statement | None:
        """A statement with its current progress, or None. Raises Rejected if the session is not active."""
        self.check_active()
        statement = self._statements.get(number)
        if statement is not None:
            await self._refresh(statement)
            self.check_active()  # it may have died meanwhile
        return statement

    async def statements(self) -> list[Statement]:
        """All retained statements, oldest first. Raises Rejected if the session is not active."""
        self.check_active()
        for statement in (retained := list(self._statements.values())):
            await self._refresh(statement)
        self.check_active()
        return retained

    async def _refresh(self, statement: Statement) -> None:
        if statement.state in (StatementState.RUNNING, StatementState.CANCELLING):
            progress = await self._driver.progress(statement.id)
            if progress is not None and not statement.ended:
                statement.progress = progress

    def cancel(self, number: int) -> None:
        """Start to cancel a statement; does nothing if it has ended or is unknown.

        Raises IllegalState if the session is not running.
        """
        if self.state not in _RUNNING:
            raise IllegalState(f"java.lang.IllegalStateException: Session is in state {self.state}")
        self.last_activity_s = self._clock()
        statement = self._statements.get(number)
        if statement is None:
            return
        if statement.state is StatementState.WAITING:
            statement.mark_cancelled()
        elif statement.state is StatementState.RUNNING:
            statement.state = StatementState.CANCELLING
            self._spawn(self._cancel(statement))

    async def _cancel(self, statement: Statement) -> None:
        """Cancel its Spark jobs repeatedly, since it may start another one. Plain Python code is not stopped."""
        deadline = self._clock() + _CANCEL_TIMEOUT_S
        while statement.state is StatementState.CANCELLING:
            if self._clock() >= deadline:
                statement.mark_cancelled()
                return
            await self._driver.cancel(statement.id)
            await asyncio.sleep(_CANCEL_EVERY_S)

    def check_active(self) -> None:
        if self.state not in _ACTIVE:
            raise Rejected("requirement failed: Session isn't active.")

    # -- views ------------------------------------------------------------------------------

    def log(self) -> list[str]:
        return self._driver.log()

    def view(self) -> dict[str, Any]:
        request = self.request
        return {
            "id": self.id,
            "name": self.name,
            "appId": None,
            "owner": None,
            "proxyUser": request.proxyUser,
            "state": self.state.value,
            "kind": request.kind,
            "appInfo": {"driverLogUrl": None, "sparkUiUrl": None, "executorLogUrls": None},
            "log": self.log()[-_VIEW_LOG_LINES:],
            "ttl": request.ttl,
            "driverMemory": request.driverMemory,
            "driverCores": request.driverCores or 0,
            "executorMemory": request.executorMemory,
            "executorCores": request.executorCores or 0,
            "conf": request.conf,
            "archives": list(request.archives),
            "files": list(request.files),
            "heartbeatTimeoutInSecond": request.heartbeatTimeoutInSecond,
            "jars": list(request.jars),
            "numExecutors": request.numExecutors or 0,
            "pyFiles": list(request.pyFiles),
            "queue": request.queue,
        }


def _error(name: str, value: str) -> dict[str, Any]:
    return {"status": "error", "ename": name, "evalue": value, "traceback": []}


def _remote(message: str) -> str:
    return f"java.util.concurrent.ExecutionException: java.lang.IllegalArgumentException: {message}"
