"""The embedded Livy's sessions, with a fake driver and a fake clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sandbox.errors import BadBody, DriverFailed, IllegalState, KernelDied, Rejected
from sandbox.livy.create_request import CreateRequest, seconds
from sandbox.livy.manager import Limits, SessionManager
from sandbox.livy.session import SessionState


class _Driver:
    """A fake: starts, answers and dies when the test sets its events."""

    def __init__(self) -> None:
        self.started, self.jvm_gone, self.answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None
        self.killed = 0
        self.cancelled: list[int] = []

    async def start(self) -> None:
        await self.started.wait()
        if self.failure is not None:
            raise self.failure

    async def wait_jvm(self) -> None:
        await self.jvm_gone.wait()

    async def run(self, number: int, code: str, kind: str) -> dict[str, Any]:
        await self.answered.wait()
        if self.failure is not None:
            raise self.failure
        return {"status": "ok", "data": {"text/plain": f"{kind}:{code}"}}

    async def progress(self, number: int) -> float | None:
        return 0.5

    async def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        self.answered.set()

    async def kill(self) -> None:
        self.killed += 1
        self.jvm_gone.set()

    def log(self) -> list[str]:
        return ["stdout: ", "\nstderr: ", "why it died"]


class _World:
    """A manager with fake drivers and a clock that the test advances."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now_s = 0.0
        self.drivers: list[_Driver] = []
        self.manager = SessionManager(limits or Limits(), self._make_driver, lambda: self.now_s)

    def _make_driver(self, number: int, request: CreateRequest) -> _Driver:
        self.drivers.append(_Driver())
        return self.drivers[-1]

    async def idle(self, **request: Any) -> Any:
        session = self.manager.create(CreateRequest.parse({"kind": "pyspark", **request}))
        self.drivers[-1].started.set()
        await _run_pending()
        assert session.state is SessionState.IDLE
        return session

    def ids(self) -> list[int]:
        return [session.id for session in self.manager.all()]


async def _run_pending() -> None:
    """Let every asyncio task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def _run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


# -- start and end -------------------------------------------------------------------------------


def test_a_session_whose_driver_cannot_start_is_dead_and_its_driver_killed() -> None:
    async def test() -> None:
        world = _World()
        session = world.manager.create(CreateRequest())
        world.drivers[0].failure = DriverFailed("no memory")
        world.drivers[0].started.set()
        await _run_pending()
        assert (session.state, world.drivers[0].killed) == (SessionState.DEAD, 1)
        with pytest.raises(IllegalState, match="Session is in state dead"):
            session.submit("1", None)

    _run(test)


def test_a_session_that_has_not_started_within_the_connect_timeout_is_given_up() -> None:
    """Livy 0.8.0: RSCConf.RPC_CLIENT_HANDSHAKE_TIMEOUT, ContextLauncher.connectTimeout."""

    async def test() -> None:
        world = _World(Limits(connect_timeout_s=0))
        session = world.manager.create(CreateRequest())
        await _run_pending()
        assert (session.state, world.drivers[0].killed) == (SessionState.DEAD, 1)

    _run(test)


def test_a_session_may_take_90_s_to_start_unless_the_configuration_says_otherwise() -> None:
    assert Limits.from_conf({}).connect_timeout_s == 90
    assert Limits.from_conf({"livy.rsc.server.connect.timeout": "720s"}).connect_timeout_s == 720


def test_a_delete_waits_for_a_thread_that_no_starting_session_holds() -> None:
    """LIVY-1003, in 0.8.0."""

    async def test() -> None:
        world = _World(Limits(threads=2))
        idle = await world.idle()
        for _ in range(2):
            world.manager.create(CreateRequest())
        await _run_pending()
        deleting = asyncio.create_task(world.manager.delete(idle))
        await _run_pending()
        assert (deleting.done(), world.ids()) == (False, [0, 1, 2])
        world.drivers[1].started.set()
        await _run_pending()
        assert (deleting.done(), world.ids()) == (True, [1, 2])
        await world.manager.stop()

    _run(test)


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        ("", Limits().threads),
        ("-Dscala.concurrent.context.numThreads=9 -Xmx1g -Dscala.concurrent.context.maxThreads=16", 9),
        ("-Dscala.concurrent.context.numThreads=1000", Limits().threads),
        ("-Dscala.concurrent.context.maxThreads=1000", Limits().threads),
        ("-Dscala.concurrent.context.numThreads=0 -Dscala.concurrent.context.maxThreads=0", 1),
    ],
)
def test_the_number_of_threads_is_that_of_the_cpus_unless_both_properties_of_the_jvm_raise_it(
    options: str, threads: int
) -> None:
    assert Limits.from_conf({}, options).threads == threads


def test_a_session_whose_jvm_ends_during_a_statement_is_dead() -> None:
    async def test() -> None:
        world = _World()
        session = await world.idle()
        session.submit("1", None)
        await _run_pending()
        assert session.state is SessionState.BUSY
        world.drivers[0].jvm_gone.set()
        await _run_pending()
        assert session.state is SessionState.DEAD
        world.drivers[0].answered.set()
        await _run_pending()
        assert session.state is SessionState.DEAD

    _run(test)


def test_a_session_whose_driver_dies_during_a_progress_request_is_not_active() -> None:
    async def test() -> None:
        world = _World()
        session = await world.idle()
        session.submit("1", None)
        await _run_pending()

        async def die(number: int) -> float | None:
            world.drivers[0].jvm_gone.set()
            await _run_pending()
            return None

        world.drivers[0].progress = die  # type: ignore[method-assign]
        with pytest.raises(Rejected, match="Session isn't active"):
            await session.statements()
        with pytest.raises(Rejected, match="Session isn't active"):
            await session.find(0)

    _run(test)


def test_a_session_whose_python_ends_is_in_state_error_and_its_statements_say_so() -> None:
    async def test() -> None:
        world = _World()
        session = await world.idle()
        world.drivers[0].failure = KernelDied()
        world.drivers[0].answered.set()
        first, second = session.submit("1", None), session.submit("2", None)
        await _run_pending()
        assert session.state is SessionState.ERROR
        for statement in (first, second):
            assert statement.output["evalue"].startswith("Interpreter died")
            assert "why it died" in statement.output["evalue"]

    _run(test)


def test_stopping_the_manager_kills_every_driver() -> None:
    async def test() -> None:
        world = _World()
        await world.idle()
        world.manager.create(CreateRequest())
        await world.manager.stop()
        assert [driver.killed for driver in world.drivers] == [1, 1]
        assert world.ids() == []

    _run(test)


# -- statements ----------------------------------------------------------------------------------


def test_a_running_statement_is_cancelled_by_cancelling_its_spark_jobs() -> None:
    async def test() -> None:
        world = _World()
        session = await world.idle()
        statement = session.submit("1", None)
        await _run_pending()
        assert (await session.find(0)).progress == 0.5
        session.cancel(0)
        assert statement.state == "cancelling"
        await _run_pending()
        assert (statement.state, world.drivers[0].cancelled) == ("cancelled", [0])
        assert session.state is SessionState.IDLE

    _run(test)


def test_only_the_last_hundred_statements_are_retained() -> None:
    async def test() -> None:
        world = _World()
        session = await world.idle()
        world.drivers[0].answered.set()
        for number in range(101):
            session.submit(str(number), None)
        kept = [statement.id for statement in await session.statements()]
        assert kept == list(range(1, 101))

    _run(test)


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "options", "age_s", "left"),
    [
        (Limits(), {}, 3599, True),
        (Limits(), {}, 3601, False),
        (Limits(timeout_check=False), {}, 10**6, True),
        (Limits(session_timeout_s=10), {}, 11, False),
        (Limits(), {"ttl": "10s"}, 11, True),
        (Limits(ttl_check=True), {"ttl": "10s"}, 11, False),
        (Limits(ttl_check=True), {"ttl": "10s"}, 9, True),
        (Limits(ttl_check=True, session_timeout_s=10**6), {}, 8 * 3600 + 1, False),
    ],
)
def test_an_idle_session_is_deleted_after_its_timeout_or_ttl(
    limits: Limits, options: dict[str, str], age_s: float, left: bool
) -> None:
    async def test() -> None:
        world = _World(limits)
        await world.idle(**options)
        world.now_s += age_s
        await world.manager.delete_expired()
        assert (world.ids() == [0]) is left

    _run(test)


@pytest.mark.parametrize(("skip_busy", "left"), [(False, False), (True, True)])
def test_the_timeout_applies_to_busy_sessions_unless_skip_busy_is_set(skip_busy: bool, left: bool) -> None:
    async def test() -> None:
        world = _World(Limits(skip_busy=skip_busy))
        session = await world.idle()
        session.submit("for ever", None)
        await _run_pending()
        world.now_s += 3601
        await world.manager.delete_expired()
        assert (world.ids() == [0]) is left

    _run(test)


def test_a_dead_session_is_deleted_after_the_retention_time() -> None:
    async def test() -> None:
        world = _World(Limits(retain_s=600))
        await world.idle()
        world.drivers[0].jvm_gone.set()
        await _run_pending()
        world.now_s = 599
        await world.manager.delete_expired()
        assert world.ids() == [0]
        world.now_s = 601
        await world.manager.delete_expired()
        assert world.ids() == []

    _run(test)


def test_a_heartbeat_extends_the_sessions_deadline() -> None:
    async def test() -> None:
        world = _World()
        session = await world.idle(heartbeatTimeoutInSecond=10)
        world.now_s = 9
        session.heartbeat()
        world.now_s = 18
        await world.manager.delete_without_heartbeat()
        assert world.ids() == [0]
        world.now_s = 20
        await world.manager.delete_without_heartbeat()
        assert world.ids() == []
        assert world.drivers[0].killed == 1

    _run(test)


def test_dead_sessions_do_not_count_towards_max_creation() -> None:
    async def test() -> None:
        world = _World(Limits(max_creation=1))
        await world.idle()
        with pytest.raises(Rejected, match="too many sessions"):
            world.manager.check_capacity()
        world.drivers[0].jvm_gone.set()
        await _run_pending()
        world.manager.check_capacity()

    _run(test)


def test_limits_are_read_from_livy_settings() -> None:
    limits = Limits.from_conf(
        {
            "livy.server.session.timeout": "2h",
            "livy.server.session.ttl-check": "true",
            "livy.server.session.max-creation": "7",
            "livy.server.session.state-retain.sec": "30s",
            "livy.spark.deploy-mode": "cluster",
        }
    )
    assert limits == Limits(session_timeout_s=7200, ttl_check=True, max_creation=7, retain_s=30)


# -- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected_s"), [("90s", 90), ("1h", 3600), ("2min", 120), ("1500", 1.5), (" 3D ", 259200)]
)
def test_livys_durations_are_parsed(text: str, expected_s: float) -> None:
    assert seconds(text) == expected_s


def test_a_request_becomes_spark_settings() -> None:
    request = CreateRequest.parse(
        {
            "kind": "python",
            "driverMemory": "1g",
            "executorCores": 2,
            "conf": {"spark.master": "yarn", "spark.x": 1},
            "pyFiles": ["s3://bucket/a.zip", "s3://bucket/b.zip"],
            "ttl": None,
        }
    )
    assert request.kind == "pyspark"
    assert request.spark_conf("run-job") == {
        "spark.x": "1",
        "spark.master": "local[*]",
        "spark.app.name": "run-job",
        "spark.driver.memory": "1g",
        "spark.executor.cores": "2",
    }
    assert request.submit_arguments() == ["--py-files", "s3://bucket/a.zip,s3://bucket/b.zip"]


@pytest.mark.parametrize("body", [{"numExecutors": "many"}, {"numExecutors": True}, {"name": ["a"]}, 5, None])
def test_a_request_with_wrong_types_is_refused(body: Any) -> None:
    with pytest.raises(BadBody):
        CreateRequest.parse(body)


def test_a_name_that_is_a_number_is_refused() -> None:
    with pytest.raises(Rejected, match="Invalid session name: 12"):
        CreateRequest.parse({"name": "12"}).check()
