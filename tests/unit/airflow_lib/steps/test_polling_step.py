"""The base of the steps that wait: leases, one deadline for all tries, one form of "not ready"."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from airflow_lib.errors import (
    CredentialsRefused,
    LeaseLost,
    NotReady,
    ResourceError,
    TeardownError,
    WaitTimeout,
)
from airflow_lib.naming import Slot
from airflow_lib.polling import time_after
from airflow_lib.steps import Done, Json, Run, Waiting
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.steps.provision import EnsureEmr, TakeLease
from airflow_lib.steps.release import ReleaseSlot
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.spark import get, put
from tests.world.walk import drive, tasks_of
from tests.world.wire import Kind


@dataclass
class Scripted(PollingStep):
    """Waits as often as there are words in `script`; an exception in it is raised."""

    script: list[Any] = field(default_factory=list)

    def timeout_s(self, run: Run) -> float:
        return 300

    def advance(self, run: Run, state: Json) -> Done:
        state["polls"] = state.get("polls", 0) + 1
        if not self.script:
            return Done({"polls": state["polls"]})
        what = self.script.pop(0)
        raise what if isinstance(what, Exception) else NotReady(what)


class NeedsEmr(Scripted):
    slot = Slot.EMR


def waiting(outcome: object) -> Waiting:
    assert isinstance(outcome, Waiting)
    return outcome


def test_what_is_not_ready_is_waited_for_and_its_state_is_kept(world: World, run: Run) -> None:
    step = Scripted(script=["the first", "the second"])
    first = waiting(step.begin(run))
    assert (first.what, first.state["polls"]) == ("the first", 1)
    second = waiting(step.poll(run, first.state))
    assert (second.what, second.state["polls"]) == ("the second", 2)
    assert step.poll(run, second.state) == Done({"polls": 3})


def test_a_poll_changes_no_state_but_its_own(run: Run) -> None:
    step = Scripted(script=["a", "b"])
    before = waiting(step.begin(run)).state
    kept = dict(before)
    step.poll(run, before)
    assert before == kept


def test_the_deadline_is_the_one_that_began_whoever_polls(world: World, run: Run) -> None:
    """A triggerer that takes the task over has the state that was stored when the task was deferred."""
    step = Scripted(script=["it"] * 9)
    stored = waiting(step.begin(run)).state
    for _ in range(2):
        world.advance(100)
        assert waiting(step.poll(run, stored)).state["deadline"] == stored["deadline"]
    world.advance(100)
    with pytest.raises(WaitTimeout, match=r"^Timed out waiting \(until 2026-11-21T12:05:00 UTC\): it"):
        step.poll(run, stored)


def test_what_is_ready_at_the_deadline_is_in_time(world: World, run: Run) -> None:
    step = Scripted(script=["it"])
    stored = waiting(step.begin(run)).state
    world.advance(10_000)
    assert isinstance(step.poll(run, stored), Done)


def test_an_error_is_raised_at_once(run: Run) -> None:
    with pytest.raises(ResourceError, match="broken"):
        Scripted(script=[ResourceError("broken")]).begin(run)


def test_polling_prolongs_what_the_run_holds_when_that_is_due(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)
    step = NeedsEmr(script=["it"] * 9)
    state = waiting(step.begin(run)).state
    for seconds, renewals in ((10, 0), (run.settings.mayfly.lease_s / 6, 1)):
        written = len(world.wire.sent("s3.PutObject"))
        world.advance(seconds)
        state = {**waiting(step.poll(run, {**state, "deadline": "2030-01-01T00:00:00+00:00"})).state}
        assert len(world.wire.sent("s3.PutObject")) == written + renewals
    for slot in Slot:
        lease = world.register(PIPELINE).slot(slot).lease(run.run_id)
        assert lease is not None
        assert (lease.until - world.now()).total_seconds() == run.settings.mayfly.lease_s


def test_a_step_that_needs_a_slot_fails_without_a_lease_on_it(make_run: Callable[..., Run]) -> None:
    with pytest.raises(LeaseLost):
        NeedsEmr(script=["it"]).begin(make_run())


def record(world: World) -> dict[str, Any]:
    """The one record of a wait that there is."""
    (key,) = [key for key in world.objects("logs/immigration/runs/") if "/waits/" in key]
    return dict(json.loads(get(f"s3://{BUCKET}/{key}") or b""))


def test_a_retry_waits_until_the_deadline_of_the_first_try_and_no_longer(world: World, run: Run) -> None:
    first = waiting(Scripted(script=["it"]).begin(run)).state["deadline"]
    for _ in range(2):
        world.advance(100)
        assert waiting(Scripted(script=["it"]).begin(run)).state["deadline"] == first
    world.advance(100)
    with pytest.raises(WaitTimeout, match="until 2026-11-21T12:05:00 UTC"):
        Scripted(script=["it"]).begin(run)


def test_a_retry_that_finds_all_ready_needs_no_time(world: World, run: Run) -> None:
    waiting(Scripted(script=["it"]).begin(run))
    world.advance(10_000)
    assert isinstance(Scripted().begin(run), Done)


def test_a_cleared_task_is_given_its_whole_time_again(world: World, run: Run) -> None:
    """Airflow raises `max_tries` where a person clears the task, and leaves it where it tries again."""
    waiting(Scripted(script=["it"]).begin(replace(run, max_tries=2)))
    world.advance(10_000)
    cleared = waiting(Scripted(script=["it"]).begin(replace(run, max_tries=3))).state["deadline"]
    assert datetime.fromisoformat(cleared) == world.now() + timedelta(seconds=300)


def test_a_deadline_that_is_too_far_ahead_is_not_waited_for(world: World, run: Run) -> None:
    waiting(Scripted(script=["it"]).begin(run))
    (key,) = [key for key in world.objects("logs/immigration/runs/") if "/waits/" in key]
    put(f"s3://{BUCKET}/{key}", b'{"deadline": "9999-12-31T23:59:59+14:00"}')
    kept = waiting(Scripted(script=["it"]).begin(run)).state["deadline"]
    assert datetime.fromisoformat(kept) == world.now() + timedelta(seconds=300)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b'"soon"',
        b"[" * 100_000,
        b"{}",
        b'{"deadline": "never"}',
        b'{"deadline": "2026-11-21T12:05:00"}',
        b'{"deadline": NaN}',
        b'{"deadline": "2026-11-21T12:05:00Z", "counts": {"losses": -1}}',
        b'{"deadline": "2026-11-21T12:05:00Z", "counts": {"losses": "many"}}',
        b'{"deadline": "2026-11-21T12:05:00Z", "counts": 7}',
    ],
)
def test_a_record_that_cannot_be_read_is_named_and_a_cleared_task_begins_another(
    world: World, run: Run, body: bytes
) -> None:
    waiting(Scripted(script=["it"]).begin(run))
    (key,) = [key for key in world.objects("logs/immigration/runs/") if "/waits/" in key]
    put(f"s3://{BUCKET}/{key}", body)
    with pytest.raises(ResourceError, match=rf"{key} must say until when.*Clear the task") as caught:
        Scripted(script=["it"]).begin(run)
    assert len(str(caught.value)) < 1000
    waiting(Scripted(script=["it"]).begin(replace(run, max_tries=1)))


def test_a_record_that_is_gone_lets_a_try_wait_until_its_own_deadline(world: World, run: Run) -> None:
    step = Scripted(script=["it"] * 9)
    stored = waiting(step.begin(run)).state
    (key,) = [key for key in world.objects("logs/immigration/runs/") if "/waits/" in key]
    world.others.s3.delete_object(Bucket=BUCKET, Key=key)
    world.advance(200)
    assert step.count(run, stored, "losses") == 1
    assert datetime.fromisoformat(record(world)["deadline"]) == datetime.fromisoformat(stored["deadline"])


def test_what_is_counted_is_counted_on_by_retries_and_triggerers(world: World, run: Run) -> None:
    stored = waiting(Scripted(script=["it"]).begin(run)).state
    counts = [Scripted().count(run, dict(stored), "losses") for _ in range(2)]
    retried = waiting(Scripted(script=["it"]).begin(run)).state
    counts.append(Scripted().count(run, retried, "losses"))
    assert counts == [1, 2, 3]
    assert Scripted().count(run, retried, "others") == 1
    assert Scripted().count(replace(run, max_tries=7), {}, "losses") == 1
    assert retried["deadline"] == stored["deadline"]


def test_what_is_counted_before_the_first_wait_is_counted(world: World, run: Run) -> None:
    state: Json = {}
    assert Scripted().count(run, state, "losses") == 1
    assert waiting(Scripted(script=["it"]).begin(run)).state["deadline"] == state["deadline"]


def test_a_deadline_whose_writing_was_not_answered_is_the_one_kept(world: World, run: Run) -> None:
    world.wire.inject("s3.PutObject", Kind.LOST)
    first = waiting(Scripted(script=["it"]).begin(run)).state["deadline"]
    world.advance(100)
    assert waiting(Scripted(script=["it"]).begin(run)).state["deadline"] == first


def test_a_deadline_that_cannot_be_written_down_is_an_error(world: World, run: Run) -> None:
    world.wire.inject("s3.PutObject", Kind.DENIED, math.inf)
    with pytest.raises(ResourceError, match="waits/Scripted-0.json"):
        Scripted(script=["it"]).begin(run)


def test_what_must_be_ready_sooner_ends_the_wait_and_what_belongs_to_it(world: World, run: Run) -> None:
    ended: list[Json] = []

    class Hasty(Scripted):
        def advance(self, run: Run, state: Json) -> Done:
            state["until"] = time_after(world.timeline, -1)
            return super().advance(run, state)

        def give_up(self, run: Run, state: Json) -> None:
            ended.append(state)

    with pytest.raises(WaitTimeout, match="until 2026-11-21T11:59:59 UTC"):
        Hasty(script=["it"]).begin(run)
    assert [state["polls"] for state in ended] == [1]


def test_a_release_may_wait_as_long_again_in_each_try(world: World, make_run: Callable[..., Run]) -> None:
    """What a teardown did not remove in time nobody removes but the janitor, which may not be running."""
    run = make_run()
    drive(TakeLease(), run, world)
    drive(EnsureEmr(), run, world)
    world.timeline.slowness = 100
    for _ in range(2):
        stored = waiting(ReleaseSlot(Slot.EMR).begin(run)).state
        by = world.now() + timedelta(seconds=run.settings.mayfly.emr.delete_timeout_s)
        assert datetime.fromisoformat(stored["deadline"]) == by
        world.advance(2000)
        with pytest.raises(TeardownError):
            ReleaseSlot(Slot.EMR).poll(run, stored)


def test_no_two_tasks_of_a_run_share_a_record() -> None:
    names = [task.step.name for task in tasks_of(PIPELINE) if isinstance(task.step, PollingStep)]
    assert len(names) == len(set(names)) == 5 + len(PIPELINE.jobs) + len(PIPELINE.staging)


def expired() -> ClientError:
    answer = {"Error": {"Code": "ExpiredToken", "Message": "The provided token has expired."}}
    return ClientError(answer, "GetObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        expired(),
        NoCredentialsError(),
        CredentialsRefused("Could not delete role x: AWS answered ExpiredToken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_renewed_credentials_are_waited_for_with_a_run_opened_anew(
    world: World, run: Run, error: Exception
) -> None:
    step = Scripted(script=[error])
    refused = waiting(step.begin(run))
    assert refused.reopen
    assert "renewed credentials in boto3's own chain" in refused.what
    done = step.poll(run, refused.state)
    assert done == Done({"polls": 2})


def test_what_is_only_not_ready_needs_no_new_run(run: Run) -> None:
    assert not waiting(Scripted(script=["it"]).begin(run)).reopen


def test_credentials_that_are_never_renewed_end_at_the_steps_deadline_which_names_them(
    world: World, run: Run
) -> None:
    step = Scripted(script=[expired()] * 9)
    stored = waiting(step.begin(run)).state
    world.advance(299)
    assert waiting(step.poll(run, stored)).state["deadline"] == stored["deadline"]
    world.advance(1)
    with pytest.raises(WaitTimeout, match=r"renewed credentials in boto3's own chain.*ExpiredToken"):
        step.poll(run, stored)


def test_credentials_that_expire_when_a_lease_is_due_are_waited_for_too(world: World, run: Run) -> None:
    world.wire.inject("s3.GetObject", Kind.REFUSED, code="ExpiredToken")
    refused = waiting(NeedsEmr().begin(run))
    assert refused.reopen
    assert "register.json: AWS answered ExpiredToken" in refused.what


def test_a_refusal_that_is_no_matter_of_credentials_is_raised(run: Run) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
    with pytest.raises(ClientError, match="AccessDenied"):
        Scripted(script=[denied]).begin(run)
