"""Nothing repeats for ever: what a Livy that answers oddly makes a job's task do, over all its tries and triggerers.

Livy answers 500 with whatever exception it met (JsonServlet.scala: `InternalServerError(e.toString)`), also to GET
statements, for which it asks the driver (InteractiveSession.scala: `getReplJobResults().get()`), and to a POST whose
statement runs all the same (`executeStatement` submits it, and then asks for it). A server that restarts without
recovery, or a heartbeat that ran out, leaves no trace of a session.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from airflow_lib.errors import LivyError, MayflyError, TerminalState, WaitTimeout
from airflow_lib.steps import Done, Failed, Run, Step, Waiting
from airflow_lib.steps.transform import RunJob
from operators.step import NO_RETRY
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.walk import Attempt, drive
from tests.world.wire import Kind

JOB = RunJob("arrivals")
LOST_AT_MOST = 3
HALF_A_DAY_S = 12 * 3600

GET_STATEMENTS, POST_STATEMENT = (
    "livy.GET /sessions/{session}/statements",
    "livy.POST /sessions/{session}/statements",
)


@pytest.fixture
def ready(world: World, run: Run) -> Run:
    """A run that may use an EMR cluster, and whose lease nobody takes."""
    return use_emr(world, run)


def try_all(step: Step, run: Run, world: World) -> Done | Failed | MayflyError:
    """What a task comes to with its two retries, as Airflow makes them."""
    for _ in range(3):
        try:
            return drive(step, run, world)
        except NO_RETRY as error:
            return error
        except MayflyError as error:
            last = error
            world.advance(20)
    return last


def poll_on(world: World, attempt: Attempt, polls: int = 10**4) -> None:
    """Poll until the trigger fails, or so often."""
    for _ in range(polls):
        world.advance(120)
        attempt.poll()


def posted(world: World) -> int:
    """How many statements were ever sent, whatever came of them."""
    return len(world.wire.sent(POST_STATEMENT))


@pytest.mark.parametrize("already", [False, True], ids=["from the first", "after the job was posted"])
def test_a_livy_that_cannot_list_statements_is_sent_a_job_once_at_most(
    world: World, ready: Run, already: bool
) -> None:
    attempt = Attempt(JOB, ready, world)
    attempt.begin()
    if already:
        world.advance(30)
        attempt.poll()
    world.wire.inject(GET_STATEMENTS, Kind.ERROR, math.inf)
    began = world.now()
    with pytest.raises(WaitTimeout, match="to list the statements of session 0"):
        poll_on(world, attempt)
    assert posted(world) == already
    assert len(world.livy.made) == 1
    livy = ready.settings.mayfly.livy
    waited_s = (world.now() - began).total_seconds()
    assert waited_s <= livy.session_timeout_s + livy.statement_timeout_s + 2 * ready.settings.mayfly.poll_s


def test_a_livy_that_cannot_list_statements_for_a_while_runs_the_job_once(world: World, ready: Run) -> None:
    world.wire.inject(GET_STATEMENTS, Kind.ERROR, 20)
    assert isinstance(drive(JOB, ready, world), Done)
    assert posted(world) == len(world.jobs.ran) == 1


def test_a_retry_that_cannot_list_statements_leaves_the_job_alone_that_runs(world: World, ready: Run) -> None:
    attempt = Attempt(JOB, ready, world)
    attempt.begin()
    world.advance(30)
    attempt.poll()
    world.wire.inject(GET_STATEMENTS, Kind.ERROR, 3)
    assert isinstance(drive(JOB, ready, world), Done)
    assert posted(world) == len(world.jobs.ran) == len(world.livy.made) == 1


@pytest.mark.parametrize("kind", [Kind.LOST, Kind.KILLED_AFTER])
def test_a_statement_that_runs_although_its_post_failed_is_not_sent_again(
    world: World, ready: Run, kind: Kind
) -> None:
    world.wire.inject(POST_STATEMENT, kind)
    attempt = Attempt(JOB, ready, world)
    attempt.begin()
    world.advance(30)
    with pytest.raises(BaseException, match="POST"):
        JOB.poll(ready, attempt.waiting.state if attempt.waiting else {})
    world.advance(30)
    assert isinstance(drive(JOB, ready, world), Done)
    assert posted(world) == 1


@pytest.mark.parametrize("after_s", [5, 45], ids=["while it starts", "while its job runs"])
def test_sessions_that_are_lost_again_and_again_are_replaced_a_few_times_and_no_more(
    world: World, ready: Run, after_s: float
) -> None:
    world.livy.lose_sessions(after_s)
    began = world.now()
    error = try_all(JOB, ready, world)
    assert isinstance(error, TerminalState)
    assert "Livy lost job 'arrivals' 4 times (now session mayfly-dev-immigration-" in error.message
    assert len(world.livy.made) == 1 + LOST_AT_MOST
    assert posted(world) <= 1 + LOST_AT_MOST
    assert (world.now() - began).total_seconds() < HALF_A_DAY_S


def test_a_server_that_restarts_again_and_again_is_given_up(world: World, ready: Run) -> None:
    def restart() -> None:
        world.livy.restart()
        world.timeline.later(150, restart)

    world.timeline.later(30, restart)
    world.livy.never_start = True
    assert isinstance(try_all(JOB, ready, world), TerminalState)
    assert len(world.livy.made) == 1 + LOST_AT_MOST


def test_losses_are_counted_over_retries_and_triggerers(world: World, ready: Run) -> None:
    """Each triggerer goes on with what was stored when the task was deferred, and each retry with nothing."""
    world.livy.lose_sessions(5)
    tries = []

    def be_killed_again_and_again() -> None:
        while True:
            attempt = Attempt(JOB, ready, world)
            attempt.begin()
            tries.append(attempt)
            for _ in range(2):
                attempt.resume()
                poll_on(world, attempt, 1)

    with pytest.raises(TerminalState):
        be_killed_again_and_again()
    assert len(tries) == 2
    assert len(world.livy.made) == 1 + LOST_AT_MOST  # the second try found one that had just been made


def test_statements_that_livy_forgets_are_sent_a_few_times_and_no_more(world: World, ready: Run) -> None:
    world.livy.forgets = True
    error = try_all(JOB, ready, world)
    assert isinstance(error, TerminalState)
    assert "knows no statement of it any more" in error.message
    assert posted(world) == 1 + LOST_AT_MOST
    assert world.livy.listed() == []  # the session is ended: others need the cluster


def test_a_statement_that_livy_forgot_once_is_sent_again(world: World, ready: Run) -> None:
    attempt = Attempt(JOB, ready, world)
    attempt.begin()
    world.advance(30)
    attempt.poll()
    world.livy.forgets = True
    world.advance(20)
    outcome = attempt.poll()
    world.livy.forgets = False
    while isinstance(outcome, Waiting):
        world.advance(30)
        outcome = attempt.poll()
    assert isinstance(outcome, Done)
    assert posted(world) == 2


def test_who_clears_the_task_is_given_as_many_losses_and_as_much_time_again(world: World, ready: Run) -> None:
    world.livy.lose_sessions(5)
    for max_tries in (2, 5):
        began, made = world.now(), len(world.livy.made)
        assert isinstance(try_all(JOB, replace(ready, max_tries=max_tries), world), TerminalState)
        assert len(world.livy.made) - made == 1 + LOST_AT_MOST
        world.livy.lost_after_s = None
        world.advance(24 * 3600 - (world.now() - began).total_seconds())
        use_emr(world, ready)
        world.livy.lost_after_s = 5
    world.livy.heal()
    assert isinstance(drive(JOB, replace(ready, max_tries=8), world), Done)


def test_a_job_that_fails_again_and_again_has_one_deadline_for_all_its_tries(
    world: World, make_run: Callable[..., Run], ready: Run
) -> None:
    """Each try finds Livy's 500, and is killed an hour later."""
    world.wire.inject(GET_STATEMENTS, Kind.ERROR, math.inf)
    began = world.now()

    def be_killed_again_and_again() -> None:
        while True:
            attempt = Attempt(JOB, ready, world)
            attempt.begin()
            poll_on(world, attempt, 30)

    with pytest.raises(WaitTimeout):
        be_killed_again_and_again()
    livy = ready.settings.mayfly.livy
    limit_s = livy.session_timeout_s + livy.statement_timeout_s
    assert (world.now() - began).total_seconds() <= limit_s + 2 * ready.settings.mayfly.poll_s


def test_a_wait_that_times_out_ends_its_session_and_no_other(
    world: World, ready: Run, make_run: Callable[..., Run]
) -> None:
    other = RunJob("airports")
    other.begin(ready)
    world.wire.inject(GET_STATEMENTS, Kind.ERROR, math.inf)
    with pytest.raises(WaitTimeout):
        drive(JOB, ready, world)
    assert world.livy.listed() == []  # the other one, for which nobody asked, by its heartbeat
    ended = [call.params["path"] for call in world.wire.sent("livy.DELETE /sessions/{session}")]
    assert ended == [f"/sessions/{world.livy.find('arrivals').id}"]


def test_a_session_that_never_starts_is_ended(world: World, ready: Run) -> None:
    world.livy.never_start = True
    with pytest.raises(WaitTimeout, match="it is starting"):
        drive(JOB, ready, world)
    assert world.livy.listed() == []


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.DENIED, Kind.TIMEOUT])
def test_a_session_that_cannot_be_ended_does_not_hide_the_time_out(
    world: World, ready: Run, kind: Kind
) -> None:
    world.livy.never_start = True
    world.wire.inject("livy.DELETE /sessions/{session}", kind, math.inf)
    with pytest.raises(WaitTimeout, match="it is starting"):
        drive(JOB, ready, world)
    assert len(world.wire.sent("livy.DELETE /sessions/{session}")) == 1


@pytest.mark.parametrize(
    "status_and_body", [("404", "null"), ("200", "<html>busy</html>"), ("200", '"busy"')]
)
def test_an_odd_answer_to_any_one_request_runs_the_job_once(
    world: World, ready: Run, status_and_body: tuple[str, str]
) -> None:
    code, body = status_and_body
    for operation in (GET_STATEMENTS, "livy.GET /sessions/{session}", "livy.GET /sessions/{session}/log"):
        world.wire.inject(operation, Kind.ANSWERED, code=code, message=body)
        outcome = try_all(JOB, ready, world)
        assert isinstance(outcome, Done), outcome
    assert posted(world) == len(world.livy.made) == 1


def test_a_job_that_waits_costs_one_write_and_no_read_more(world: World, ready: Run) -> None:
    drive(JOB, ready, world)
    waits = [call for call in world.wire.calls if "/waits/" in str(call.params.get("Key"))]
    assert [str(call) for call in waits] == ["s3.PutObject"]


def test_an_output_that_is_complete_already_needs_no_deadline(world: World, ready: Run) -> None:
    drive(JOB, ready, world)
    before = world.objects("logs/")
    drive(JOB, replace(ready, max_tries=9), world)
    assert world.objects("logs/") == before


def test_an_error_of_livys_in_each_try_is_told_as_it_is(world: World, ready: Run) -> None:
    world.wire.inject(POST_STATEMENT, Kind.ERROR, math.inf)
    error = try_all(JOB, ready, world)
    assert isinstance(error, LivyError)
    assert posted(world) == 3
