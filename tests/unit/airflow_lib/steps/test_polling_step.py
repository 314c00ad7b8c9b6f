"""The base of the steps that wait: leases, one deadline, one form of "not ready"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from airflow_lib.errors import CredentialsRefused, LeaseLost, NotReady, ResourceError, WaitTimeout
from airflow_lib.naming import Slot
from airflow_lib.steps import Done, Json, Run, Waiting
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.steps.provision import TakeLease
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive
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
