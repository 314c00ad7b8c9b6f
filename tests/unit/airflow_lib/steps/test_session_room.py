"""No more sessions are there at once than the cluster is sized for, however many runs are under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airflow_lib.errors import LivyUnreachable, NotReady, WaitTimeout
from airflow_lib.naming import session_name
from airflow_lib.pipeline import Pipeline
from airflow_lib.spark.livy import LivyClient, SessionSpec
from airflow_lib.steps import Done, Json, Run, Waiting
from airflow_lib.steps.clusters import find_livy
from airflow_lib.steps.pinned_output import read_pinned
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.session_room import is_surplus, wait_for_room
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.job_shapes import CHAINED
from tests.world.livy_servers import Session
from tests.world.walk import drive
from tests.world.wire import Call, Kind

# Two jobs, of which one waits for the other: one session a run.
TWO_RUNS = replace(CHAINED, max_parallel_runs=2)
CLEAN, AIRPORTS = RunJob("clean"), RunJob("airports")


@pytest.fixture
def chained(world: World) -> World:
    world.put_sources(CHAINED)
    return world


def a_run(world: World, number: int, pipeline: Pipeline = CHAINED) -> Run:
    return use_emr(world, world.run(f"run{number}", pipeline=pipeline))


def client(world: World, run: Run) -> LivyClient:
    return world.livy.open(find_livy(run))


def spec(run: Run) -> SessionSpec:
    """A session of the run's first job, made by somebody else."""
    return SessionSpec(session_name(run.environment, run.run_id, "clean"), (), 512, 1, 1024, 1, 1)


def begin(step: RunJob, run: Run) -> Waiting:
    outcome = step.begin(run)
    assert isinstance(outcome, Waiting)
    return outcome


def poll(world: World, step: RunJob, run: Run, waiting: Waiting, seconds: float = 30) -> Waiting:
    world.advance(seconds)
    outcome = step.poll(run, waiting.state)
    assert isinstance(outcome, Waiting)
    return outcome


def finish(world: World, step: RunJob, run: Run, waiting: Waiting) -> Json:
    outcome = step.poll(run, waiting.state)
    while isinstance(outcome, Waiting):
        world.advance(30)
        outcome = step.poll(run, outcome.state)
    assert isinstance(outcome, Done)
    return outcome.result


def names(sessions: list[Session]) -> list[str]:
    return [session.name for session in sessions]


def test_a_job_for_which_there_is_no_room_waits_and_makes_no_session(chained: World) -> None:
    first, second = (a_run(chained, number) for number in (1, 2))
    running = begin(CLEAN, first)
    waiting = begin(CLEAN, second)
    assert waiting.what == "room for a Livy session: 1 are there, and the cluster is sized for 1"
    assert len(chained.livy.made) == 1
    finish(chained, CLEAN, first, running)
    finish(chained, CLEAN, second, waiting)
    assert len(chained.livy.made) == 2


def test_a_second_job_waits_for_the_first_job_of_another_run(chained: World) -> None:
    first, second = (a_run(chained, number) for number in (1, 2))
    drive(CLEAN, first, chained)
    forced = replace(second, force=True)
    running = begin(CLEAN, forced)
    waiting = begin(AIRPORTS, first)
    assert "room for a Livy session" in waiting.what
    waiting = poll(chained, AIRPORTS, first, waiting)
    finish(chained, CLEAN, forced, running)
    finish(chained, AIRPORTS, first, waiting)
    assert [name.rpartition("-")[2] for name in names(chained.livy.made)] == ["clean", "clean", "airports"]


def test_as_many_run_at_once_as_the_cluster_is_sized_for(chained: World) -> None:
    runs = [replace(a_run(chained, number, TWO_RUNS), force=True) for number in range(3)]
    for run in runs[:2]:
        assert "to start" in begin(CLEAN, run).what
    assert "2 are there, and the cluster is sized for 2" in begin(CLEAN, runs[2]).what


def at_once(world: World, others: Callable[[], object]) -> None:
    """Let others make their session after the next look for room, and before what follows it."""

    def make(call: Call) -> None:
        if call.operation == "POST /sessions":
            world.wire.watchers.remove(make)
            others()

    world.wire.watchers.append(make)


def test_of_two_sessions_made_at_the_same_time_the_younger_gives_way_and_both_jobs_are_done(
    chained: World,
) -> None:
    first, second = (replace(a_run(chained, number), force=True) for number in (1, 2))
    begun: list[Waiting] = []
    at_once(chained, lambda: begun.append(begin(CLEAN, first)))
    waiting = begin(CLEAN, second)
    older, younger = chained.livy.made
    assert waiting.what == "room for a Livy session: others took it at the same time"
    assert chained.livy.listed() == [older]
    assert older.name == session_name(first.environment, first.run_id, "clean")
    assert younger.code == []
    waiting = poll(chained, CLEAN, second, waiting)
    assert "room for a Livy session: 1 are there" in waiting.what
    finish(chained, CLEAN, first, begun[0])
    finish(chained, CLEAN, second, waiting)
    assert len(chained.livy.made) == 3
    assert len(read_pinned(second, CHAINED.job("clean")).manifest.datasets) == 2


@pytest.mark.parametrize("later_s", [0, 60], ids=["it starts", "it has started"])
def test_a_session_whose_maker_died_before_it_could_look_gives_way_to_the_older_one(
    chained: World, later_s: float
) -> None:
    first, second = (replace(a_run(chained, number), force=True) for number in (1, 2))
    begun: list[Waiting] = []

    def make_and_lose() -> None:
        begun.append(begin(CLEAN, first))
        chained.wire.inject("livy.POST /sessions", Kind.LOST)

    at_once(chained, make_and_lose)
    with pytest.raises(LivyUnreachable):
        begin(CLEAN, second)
    assert len(chained.livy.listed()) == 2
    chained.advance(later_s)
    waiting = begin(CLEAN, second)
    assert "others took it at the same time" in waiting.what
    assert len(chained.livy.listed()) == 1
    assert finish(chained, CLEAN, first, begun[0])["reused"] is False


def test_a_session_that_gives_way_slowly_is_waited_for_and_not_taken_for_lost(chained: World) -> None:
    first, second = (replace(a_run(chained, number), force=True) for number in (1, 2))
    begun: list[Waiting] = []
    at_once(chained, lambda: begun.append(begin(CLEAN, first)))
    chained.livy.ending_s = 100
    waiting = begin(CLEAN, second)
    for _ in range(8):
        waiting = poll(chained, CLEAN, second, waiting)
    chained.livy.ending_s = 0
    finish(chained, CLEAN, first, begun[0])
    finish(chained, CLEAN, second, waiting)
    records = [key for key in chained.objects("logs/immigration/runs/") if "/waits/" in key]
    assert records
    assert not [key for key in records if b"replacements" in _body(chained, key)]


def _body(world: World, key: str) -> bytes:
    return bytes(world.others.s3.get_object(Bucket="mayfly-world", Key=key)["Body"].read())


def test_who_lost_a_session_may_wait_for_room_longer_than_a_session_may_take_to_start(chained: World) -> None:
    first, second = (replace(a_run(chained, number), force=True) for number in (1, 2))
    chained.livy.kept_alive = True  # by another run's triggerer
    waiting = begin(CLEAN, first)
    chained.livy.vanish(chained.livy.made[0])
    client(chained, second).create_session(spec(second))
    for _ in range(2):
        too_long_s = first.settings.mayfly.livy.session_timeout_s + 60
        waiting = poll(chained, CLEAN, first, waiting, seconds=too_long_s)
        assert "room for a Livy session" in waiting.what
        drive(TakeLease(), first, chained)


def test_a_session_that_runs_its_job_never_gives_way(chained: World) -> None:
    """It holds its room, also where a deployment has changed for how many sessions the cluster is sized."""
    run, other = a_run(chained, 1, TWO_RUNS), a_run(chained, 2)
    client(chained, run).create_session(spec(other))
    assert "job clean" in poll(chained, CLEAN, run, begin(CLEAN, run)).what
    sized_for_one = replace(run, pipeline=CHAINED)
    retry = begin(CLEAN, sized_for_one)
    assert "job clean" in retry.what
    assert finish(chained, CLEAN, sized_for_one, retry)["reused"] is False
    assert len(chained.livy.made) == 2


def test_waiting_for_room_may_take_as_long_as_the_jobs_before_it_and_then_ends(chained: World) -> None:
    first, second = (replace(a_run(chained, number), force=True) for number in (1, 2))
    chained.livy.kept_alive = True  # by another run's triggerer
    chained.livy.never_start = True
    client(chained, first).create_session(spec(first))
    began = chained.now()
    with pytest.raises(WaitTimeout, match="room for a Livy session"):
        drive(CLEAN, second, chained)
    livy = second.settings.mayfly.livy
    longest = 2 * (livy.session_timeout_s + livy.statement_timeout_s)
    assert longest <= (chained.now() - began).total_seconds() <= longest + 2 * second.settings.mayfly.poll_s


def test_sessions_that_ended_or_are_anothers_take_no_room(chained: World) -> None:
    run, other = (a_run(chained, number) for number in (1, 2))
    livy = client(chained, run)
    livy.create_session(spec(run))
    with pytest.raises(NotReady, match="1 are there"):
        wait_for_room(other, livy)
    (mine,) = livy.list_sessions(run.environment.prefix)
    assert not is_surplus(run, livy, mine)
    chained.livy.die(chained.livy.made[0])
    wait_for_room(other, livy)
    livy.create_session(replace(spec(run), name="somebody-elses"))
    wait_for_room(other, livy)
