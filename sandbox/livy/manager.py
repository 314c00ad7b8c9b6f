"""The sessions of one server: their ids and names, and the deletion of expired ones (SessionManager.scala)."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.errors import Rejected
from sandbox.livy.create_request import CreateRequest, seconds
from sandbox.livy.session import Driver, Session, SessionState

log = logging.getLogger(__name__)

_COLLECT_EVERY_S = 60.0  # SessionManager.GarbageCollector


# Scala's global pool, whose size numThreads is, but no more than maxThreads (ExecutionContextImpl.scala, 2.12).
_POOL = re.compile(r"-Dscala\.concurrent\.context\.(numThreads|maxThreads)=(\d+)")


@dataclass(frozen=True)
class Limits:
    """The server's limits; `from_conf` says which setting of `livy.conf` each one is.

    `threads` is how many sessions can start or be deleted at once, as in Livy 0.8.0 (LIVY-1003): the number of CPUs.
    """

    session_timeout_s: float = 3600.0
    retain_s: float = 600.0
    max_creation: int = 100
    timeout_check: bool = True
    skip_busy: bool = False
    ttl_check: bool = False
    ttl_s: float = 8 * 3600.0
    watchdog_every_s: float = 60.0
    connect_timeout_s: float = 90.0
    threads: int = os.cpu_count() or 1

    @classmethod
    def from_conf(cls, conf: Mapping[str, str], java_options: str = "") -> Limits:
        """The limits in `livy.*` settings, and in the options of the server's JVM; others are ignored."""
        default = cls()

        def duration(key: str, default_value: float) -> float:
            return seconds(conf[key]) if key in conf else default_value

        def flag(key: str, default_value: bool) -> bool:
            return conf.get(key, str(default_value)).lower() == "true"

        return cls(
            session_timeout_s=duration("livy.server.session.timeout", default.session_timeout_s),
            retain_s=duration("livy.server.session.state-retain.sec", default.retain_s),
            max_creation=int(conf.get("livy.server.session.max-creation", default.max_creation)),
            timeout_check=flag("livy.server.session.timeout-check", default.timeout_check),
            skip_busy=flag("livy.server.session.timeout-check.skip-busy", default.skip_busy),
            ttl_check=flag("livy.server.session.ttl-check", default.ttl_check),
            ttl_s=duration("livy.server.session.ttl", default.ttl_s),
            watchdog_every_s=duration("livy.server.heartbeat-watchdog.interval", default.watchdog_every_s),
            connect_timeout_s=duration("livy.rsc.server.connect.timeout", default.connect_timeout_s),
            threads=_threads(java_options, default.threads),
        )


def _threads(java_options: str, default: int) -> int:
    given = {name: int(count) for name, count in _POOL.findall(java_options)}
    return max(1, min(given.get("numThreads", default), given.get("maxThreads", default)))


DriverFactory = Callable[[int, CreateRequest], Driver]


class SessionManager:
    """Creates, finds and ends sessions."""

    def __init__(
        self, limits: Limits, make_driver: DriverFactory, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._make_driver, self._clock = limits, make_driver, clock
        self._sessions: dict[int, Session] = {}
        self._next_id = 0
        self._watchers: list[asyncio.Task[None]] = []
        self._threads = asyncio.Semaphore(limits.threads)
        self._waiting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to delete expired sessions in the background."""
        self._watchers = [
            asyncio.create_task(self._every(_COLLECT_EVERY_S, self.delete_expired)),
            asyncio.create_task(self._every(self._limits.watchdog_every_s, self.delete_without_heartbeat)),
        ]

    async def stop(self) -> None:
        for task in (*self._watchers, *self._waiting):
            task.cancel()
        await asyncio.gather(*(session.close() for session in self.all()))
        self._sessions.clear()

    @staticmethod
    async def _every(interval_s: float, work: Callable[[], object]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await work()  # type: ignore[misc]

    def check_capacity(self) -> None:
        """Raise Rejected if the maximum number of drivers is running."""
        if sum(session.state is not SessionState.DEAD for session in self.all()) >= self._limits.max_creation:
            raise Rejected("Rejected, too many sessions are being created!")

    def create(self, request: CreateRequest) -> Session:
        """Start a session. Raises Rejected with Livy's message; an id is used up even then, as in Livy."""
        number = self._next_id
        self._next_id += 1
        try:
            request.check()
            if request.name is not None and self.find_by_name(request.name) is not None:
                raise Rejected(f"Duplicate session name: Some({request.name}) for session {number}")
        except Rejected as error:
            raise Rejected(f"Rejected, Reason: {error}") from None
        driver = self._make_driver(number, request)
        session = Session(number, request, driver, self._clock, self._limits.connect_timeout_s)
        self._sessions[number] = session
        session.open()
        waiting = asyncio.create_task(self._hold_thread(session))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        return session

    async def _hold_thread(self, session: Session) -> None:
        """A session holds a thread until its driver has connected (InteractiveSession.start, 0.8.0)."""
        async with self._threads:
            await session.connected.wait()

    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def get(self, number: int) -> Session | None:
        return self._sessions.get(number)

    def find_by_name(self, name: str) -> Session | None:
        return next((session for session in self.all() if session.name == name), None)

    async def delete(self, session: Session) -> None:
        """End the session and forget it; its name is free again. Waits for a thread to do it in (Session.stop)."""
        async with self._threads:
            await session.close()
        self._sessions.pop(session.id, None)

    async def delete_without_heartbeat(self) -> None:
        """Delete the sessions whose client sent no request for heartbeatTimeoutInSecond."""
        for session in self.all():
            allowed = session.request.heartbeatTimeoutInSecond
            if allowed > 0 and self._clock() - session.last_heartbeat_s > allowed:
                log.info("session %s: no heartbeat for %s s, deleting it", session.id, allowed)
                await self.delete(session)

    async def delete_expired(self) -> None:
        """Delete the sessions that ended long enough ago, were idle too long, or are too old."""
        for session in self.all():
            if self._expired(session):
                log.info("session %s (%s): it has expired, deleting it", session.id, session.state)
                await self.delete(session)

    def _expired(self, session: Session) -> bool:
        now, limits, request = self._clock(), self._limits, session.request
        if session.finished_s is not None:
            return now - session.finished_s > limits.retain_s
        if not limits.timeout_check or (session.state is SessionState.BUSY and limits.skip_busy):
            return False
        if now - session.last_activity_s > limits.session_timeout_s:
            return True
        life_s = seconds(request.ttl) if request.ttl else limits.ttl_s
        return limits.ttl_check and now - session.started_s > life_s
