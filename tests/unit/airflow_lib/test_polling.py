"""Deadlines that survive a restart, and how long transient errors are allowed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from airflow_lib.errors import (
    ConnectionLost,
    CredentialsRefused,
    LivyError,
    LivyUnreachable,
    NotReady,
    RegisterUnreachable,
    ResourceError,
    SessionFailed,
    WarehouseUnreachable,
)
from airflow_lib.polling import (
    TRANSIENT_BUDGET_S,
    SystemClock,
    TransientBudget,
    is_past,
    repeat_transient,
    time_after,
)

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NO_ANSWER = ReadTimeoutError(endpoint_url="https://emr")


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def pass_time(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def budget(clock: ManualClock) -> TransientBudget:
    return TransientBudget(clock)


def _answer(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Action")  # type: ignore[typeddict-item]


def test_a_deadline_has_come_at_its_very_moment_and_not_before(clock: ManualClock) -> None:
    deadline = time_after(clock, 60)
    assert not is_past(clock, deadline)
    clock.pass_time(59.999)
    assert not is_past(clock, deadline)
    clock.pass_time(0.001)
    assert is_past(clock, deadline)
    clock.pass_time(1)
    assert is_past(clock, deadline)


def test_a_deadline_of_no_seconds_has_come(clock: ManualClock) -> None:
    assert is_past(clock, time_after(clock, 0))


@pytest.mark.parametrize("seconds", [0.25, 60, 1e6])
def test_a_deadline_survives_as_text(clock: ManualClock, seconds: float) -> None:
    stored = json.dumps({"deadline": time_after(clock, seconds)})
    deadline = json.loads(stored)["deadline"]
    assert datetime.fromisoformat(deadline) == START + timedelta(seconds=seconds)
    assert not is_past(clock, deadline)
    clock.pass_time(seconds)
    assert is_past(clock, deadline)


def test_a_deadline_written_in_another_time_zone_is_the_same_moment(clock: ManualClock) -> None:
    elsewhere = (START + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9))).isoformat()
    assert not is_past(clock, elsewhere)
    clock.pass_time(1)
    assert is_past(clock, elsewhere)


def test_the_systems_clock_is_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


@pytest.mark.parametrize(
    "error",
    [
        NO_ANSWER,
        _answer("Throttling"),
        _answer("RequestTimeout"),
        _answer("InternalFailure", 500),
        _answer("DependentServiceUnavailableFault"),
        LivyUnreachable("no answer"),
        RegisterUnreachable("S3 is busy"),
        WarehouseUnreachable("refused"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
def test_a_transient_error_is_allowed_until_the_budget_is_spent(
    clock: ManualClock, budget: TransientBudget, error: Exception
) -> None:
    assert budget.allows(error)
    clock.pass_time(TRANSIENT_BUDGET_S - 0.001)
    assert budget.allows(error)
    clock.pass_time(0.001)
    assert not budget.allows(error)
    clock.pass_time(1)
    assert not budget.allows(error)


def test_the_budget_counts_from_the_first_error_in_a_row_whatever_its_kind(
    clock: ManualClock, budget: TransientBudget
) -> None:
    clock.pass_time(10 * TRANSIENT_BUDGET_S)  # time before the first error is not counted
    assert budget.allows(NO_ANSWER)
    clock.pass_time(TRANSIENT_BUDGET_S / 2)
    assert budget.allows(LivyUnreachable("no answer"))
    clock.pass_time(TRANSIENT_BUDGET_S / 2)
    assert not budget.allows(_answer("Throttling"))


def test_a_poll_that_succeeded_starts_the_budget_anew(clock: ManualClock, budget: TransientBudget) -> None:
    assert budget.allows(NO_ANSWER)
    clock.pass_time(TRANSIENT_BUDGET_S - 1)
    budget.reset()
    clock.pass_time(1)
    assert budget.allows(NO_ANSWER)
    clock.pass_time(TRANSIENT_BUDGET_S - 1)
    assert budget.allows(NO_ANSWER)


def test_a_spent_budget_is_restored_by_a_poll_that_succeeded(
    clock: ManualClock, budget: TransientBudget
) -> None:
    assert budget.allows(NO_ANSWER)
    clock.pass_time(TRANSIENT_BUDGET_S)
    assert not budget.allows(NO_ANSWER)
    budget.reset()
    assert budget.allows(NO_ANSWER)


@pytest.mark.parametrize(
    "error",
    [
        _answer("AccessDenied"),
        ResourceError("refused"),
        NotReady("a step's own to poll for"),
        LivyError("refused"),
        SessionFailed("died"),
        ConnectionLost("it is unknown whether the commit took effect"),
        CredentialsRefused("expired"),
        KeyError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_is_never_allowed_and_starts_no_count(
    clock: ManualClock, budget: TransientBudget, error: Exception
) -> None:
    assert not budget.allows(error)
    clock.pass_time(TRANSIENT_BUDGET_S)
    assert budget.allows(NO_ANSWER)


def test_an_error_of_another_kind_in_between_does_not_start_the_budget_anew(
    clock: ManualClock, budget: TransientBudget
) -> None:
    assert budget.allows(NO_ANSWER)
    assert not budget.allows(ResourceError("refused"))
    clock.pass_time(TRANSIENT_BUDGET_S)
    assert not budget.allows(NO_ANSWER)


class Work:
    """Raises what is in `script`, one a call, and then returns how often it was called."""

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.script:
            raise self.script.pop(0)
        return self.calls


def test_what_fails_for_a_passing_reason_is_repeated_ever_more_rarely(clock: ManualClock) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.pass_time(seconds)

    work = Work(*[WarehouseUnreachable("refused")] * 5)
    assert repeat_transient(work, clock=clock, sleep=sleep) == 6
    assert pauses == [5, 10, 20, 40, 60]


def test_what_fails_for_longer_than_the_budget_is_raised(clock: ManualClock) -> None:
    work = Work(*[WarehouseUnreachable("refused")] * 100)
    with pytest.raises(WarehouseUnreachable):
        repeat_transient(work, clock=clock, sleep=clock.pass_time)
    assert timedelta(seconds=TRANSIENT_BUDGET_S) <= clock.time - START
    assert clock.time - START < timedelta(seconds=TRANSIENT_BUDGET_S + 60)


def test_what_does_not_pass_is_raised_at_once(clock: ManualClock) -> None:
    work = Work(ConnectionLost("in the middle of a commit"))
    with pytest.raises(ConnectionLost):
        repeat_transient(work, clock=clock, sleep=clock.pass_time)
    assert (work.calls, clock.time) == (1, START)
