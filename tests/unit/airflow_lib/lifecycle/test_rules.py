"""Each outcome in the tables of `register_rules`, by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_lib.errors import LeaseLost, RegisterError
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import Lease, Phase, Resource, SlotState
from airflow_lib.lifecycle.rules import AcquireOutcome, ReleaseOutcome
from airflow_lib.naming import Slot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=600)
EARLIER = NOW - timedelta(seconds=600)
CLUSTER = Resource("cluster", "c3", "id3")

EMPTY = SlotState(Slot.WAREHOUSE, generation=3, snapshot="s3", predecessor="s2")
CREATING = replace(
    EMPTY, phase=Phase.CREATING, owner="maker", leases=(Lease("maker", LATER),), resources=(CLUSTER,)
)
READY = replace(CREATING, phase=Phase.READY, owner=None, leases=(Lease("user", LATER),), unsaved=True)
TEARING_DOWN = replace(READY, phase=Phase.TEARING_DOWN, owner="drainer", leases=(Lease("drainer", LATER),))


def expired(state: SlotState) -> SlotState:
    return replace(state, leases=tuple(Lease(lease.run, EARLIER) for lease in state.leases))


def runs(state: SlotState) -> list[str]:
    return [lease.run for lease in state.leases]


@pytest.mark.parametrize(
    ("state", "run", "outcome", "generation", "holders"),
    [
        pytest.param(EMPTY, "run", AcquireOutcome.CREATE, 4, ["run"], id="empty"),
        pytest.param(CREATING, "maker", AcquireOutcome.CREATE, 3, ["maker"], id="its own creation"),
        pytest.param(CREATING, "run", AcquireOutcome.WAIT, 3, ["maker", "run"], id="another's creation"),
        pytest.param(expired(CREATING), "run", AcquireOutcome.CREATE, 3, ["run"], id="a dead creator's"),
        pytest.param(READY, "run", AcquireOutcome.USE, 3, ["run", "user"], id="ready"),
        pytest.param(
            expired(READY), "user", AcquireOutcome.USE, 3, ["user"], id="ready, with an expired lease"
        ),
        pytest.param(TEARING_DOWN, "run", AcquireOutcome.WAIT, 3, ["drainer"], id="another's drain"),
        pytest.param(TEARING_DOWN, "drainer", AcquireOutcome.TEAR_DOWN, 3, ["drainer"], id="its own drain"),
        pytest.param(
            expired(TEARING_DOWN), "run", AcquireOutcome.TEAR_DOWN, 3, ["run"], id="a dead drainer's"
        ),
    ],
)
def test_who_comes_gets_its_role(
    state: SlotState, run: str, outcome: AcquireOutcome, generation: int, holders: list[str]
) -> None:
    after, grant = rules.acquire(state, NOW, run=run, lease_s=60)
    assert (grant.outcome, grant.generation, runs(after)) == (outcome, generation, holders)
    assert grant.state == after
    if run in runs(after):
        assert after.lease(run).until == NOW + timedelta(seconds=60)
    if outcome in (AcquireOutcome.CREATE, AcquireOutcome.TEAR_DOWN):
        assert after.owner == run


def test_the_warehouse_is_created_from_the_snapshot_that_the_register_names() -> None:
    assert rules.acquire(EMPTY, NOW, run="run", lease_s=60)[1].restore == "s3"
    assert rules.acquire(SlotState(Slot.WAREHOUSE), NOW, run="run", lease_s=60)[1].restore is None


def test_who_takes_a_creation_over_finds_what_was_recorded() -> None:
    grant = rules.acquire(expired(CREATING), NOW, run="run", lease_s=60)[1]
    assert grant.state.resources == (CLUSTER,)


@pytest.mark.parametrize(
    ("state", "run", "outcome", "phase"),
    [
        pytest.param(READY, "user", ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="the last"),
        pytest.param(
            replace(READY, leases=(Lease("other", LATER), Lease("user", LATER))),
            "user",
            ReleaseOutcome.SHARED,
            Phase.READY,
            id="not the last",
        ),
        pytest.param(
            replace(READY, leases=(Lease("other", EARLIER), Lease("user", LATER))),
            "user",
            ReleaseOutcome.TEAR_DOWN,
            Phase.TEARING_DOWN,
            id="the last that lives",
        ),
        pytest.param(
            expired(READY),
            "user",
            ReleaseOutcome.TEAR_DOWN,
            Phase.TEARING_DOWN,
            id="late, and nobody noticed",
        ),
        pytest.param(
            replace(READY, keep_alive_until=LATER),
            "user",
            ReleaseOutcome.KEPT,
            Phase.READY,
            id="kept by another",
        ),
        pytest.param(
            replace(READY, keep_alive_until=EARLIER),
            "user",
            ReleaseOutcome.TEAR_DOWN,
            Phase.TEARING_DOWN,
            id="kept until a while ago",
        ),
        pytest.param(
            CREATING, "maker", ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a creator that failed"
        ),
        pytest.param(
            replace(CREATING, leases=(Lease("maker", LATER), Lease("run", LATER))),
            "run",
            ReleaseOutcome.SHARED,
            Phase.CREATING,
            id="who waited for a creator",
        ),
        pytest.param(
            replace(CREATING, leases=(Lease("maker", EARLIER), Lease("run", LATER))),
            "run",
            ReleaseOutcome.TEAR_DOWN,
            Phase.TEARING_DOWN,
            id="who waited for a dead creator",
        ),
        pytest.param(
            TEARING_DOWN, "drainer", ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a drainer again"
        ),
        pytest.param(
            TEARING_DOWN, "run", ReleaseOutcome.NOT_HELD, Phase.TEARING_DOWN, id="who waited for a drain"
        ),
        pytest.param(READY, "run", ReleaseOutcome.NOT_HELD, Phase.READY, id="a stranger"),
        pytest.param(EMPTY, "run", ReleaseOutcome.NOT_HELD, Phase.EMPTY, id="an empty slot"),
    ],
)
def test_who_goes_is_told_what_to_do(
    state: SlotState, run: str, outcome: ReleaseOutcome, phase: Phase
) -> None:
    after, answer = rules.release(state, NOW, run=run, lease_s=60)
    assert (answer.outcome, after.phase) == (outcome, phase)
    if outcome is ReleaseOutcome.TEAR_DOWN:
        assert (after.owner, after.leases) == (run, (Lease(run, NOW + timedelta(seconds=60)),))
        assert answer.resources == (CLUSTER,)
    else:
        assert after.lease(run) is None


@pytest.mark.parametrize(
    ("kept_until", "keep_alive_s", "end", "until"),
    [
        (None, 60, False, NOW + timedelta(seconds=60)),
        (LATER, 60, False, LATER),
        (LATER, 0, False, LATER),
        (LATER, 900, False, NOW + timedelta(seconds=900)),
        (EARLIER, 60, False, NOW + timedelta(seconds=60)),
        (LATER, 0, True, None),
        (LATER, 60, True, None),
    ],
)
def test_keep_alive_is_a_lease_that_is_only_ever_prolonged_or_ended(
    kept_until: datetime | None, keep_alive_s: float, end: bool, until: datetime | None
) -> None:
    state = replace(READY, keep_alive_until=kept_until)
    _, answer = rules.release(
        state, NOW, run="user", lease_s=60, keep_alive_s=keep_alive_s, end_keep_alive=end
    )
    assert answer.until == until
    assert answer.outcome is (ReleaseOutcome.KEPT if until else ReleaseOutcome.TEAR_DOWN)


def test_a_keep_alive_counts_although_others_still_hold_the_slot() -> None:
    state = replace(READY, leases=(Lease("other", LATER), Lease("user", LATER)))
    after, _ = rules.release(state, NOW, run="user", lease_s=60, keep_alive_s=60)
    assert rules.release(after, NOW, run="other", lease_s=60)[1].outcome is ReleaseOutcome.KEPT


def test_waiters_of_a_failed_creation_open_the_next_generation() -> None:
    state, _ = rules.acquire(CREATING, NOW, run="waiter", lease_s=60)
    state, _ = rules.release(state, NOW, run="maker", lease_s=60)
    assert rules.acquire(state, NOW, run="waiter", lease_s=60)[1].outcome is AcquireOutcome.WAIT
    state, _ = rules.forget_resource(state, NOW, run="maker", kind="cluster", name="c3")
    state, _ = rules.mark_empty(state, NOW, run="maker")
    grant = rules.acquire(state, NOW, run="waiter", lease_s=60)[1]
    assert (grant.outcome, grant.generation, grant.state.resources) == (AcquireOutcome.CREATE, 4, ())


@pytest.mark.parametrize(
    ("state", "outcome", "phase"),
    [
        pytest.param(EMPTY, ReleaseOutcome.NOT_HELD, Phase.EMPTY, id="empty"),
        pytest.param(CREATING, ReleaseOutcome.SHARED, Phase.CREATING, id="being created"),
        pytest.param(expired(CREATING), ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a dead creator's"),
        pytest.param(
            replace(CREATING, leases=(Lease("maker", EARLIER), Lease("run", LATER))),
            ReleaseOutcome.SHARED,
            Phase.CREATING,
            id="a dead creator's, with one who waits",
        ),
        pytest.param(READY, ReleaseOutcome.SHARED, Phase.READY, id="used"),
        pytest.param(
            replace(expired(READY), keep_alive_until=LATER), ReleaseOutcome.KEPT, Phase.READY, id="kept alive"
        ),
        pytest.param(
            replace(expired(READY), keep_alive_until=EARLIER),
            ReleaseOutcome.TEAR_DOWN,
            Phase.TEARING_DOWN,
            id="kept too long",
        ),
        pytest.param(
            expired(READY), ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="used by the dead alone"
        ),
        pytest.param(TEARING_DOWN, ReleaseOutcome.SHARED, Phase.TEARING_DOWN, id="being drained"),
        pytest.param(
            expired(TEARING_DOWN), ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a dead drainer's"
        ),
    ],
)
def test_the_janitor_takes_what_nobody_living_holds(
    state: SlotState, outcome: ReleaseOutcome, phase: Phase
) -> None:
    after, answer = rules.reap(state, NOW, run="janitor", lease_s=60)
    assert (answer.outcome, after.phase) == (outcome, phase)
    assert (after.owner == "janitor") is (outcome is ReleaseOutcome.TEAR_DOWN)


def test_the_janitor_removes_expired_leases_of_a_slot_that_others_use() -> None:
    state = replace(READY, leases=(Lease("dead", EARLIER), Lease("user", LATER)))
    after, answer = rules.reap(state, NOW, run="janitor", lease_s=60)
    assert (runs(after), answer.others) == (["user"], ("user",))


def test_an_expired_lease_that_nobody_took_is_no_leave_to_use_but_can_be_renewed() -> None:
    state = expired(READY)
    with pytest.raises(LeaseLost, match="expired at 11:50:00 UTC. Renew it"):
        rules.check(state, NOW, run="user", generation=3)
    state, _ = rules.renew(state, NOW, run="user", generation=3, lease_s=60)
    assert rules.check(state, NOW, run="user", generation=3)[1] == state


@pytest.mark.parametrize(
    ("state", "run", "generation"),
    [(READY, "stranger", 3), (READY, "user", 2), (TEARING_DOWN, "user", 3), (EMPTY, "user", 3)],
)
def test_a_lease_that_was_taken_is_neither_used_nor_renewed(
    state: SlotState, run: str, generation: int
) -> None:
    with pytest.raises(LeaseLost, match=rf"no longer holds generation {generation} of the warehouse slot"):
        rules.check(state, NOW, run=run, generation=generation)
    with pytest.raises(LeaseLost):
        rules.renew(state, NOW, run=run, generation=generation, lease_s=60)


def test_who_waits_for_a_creator_may_not_use_the_slot_yet() -> None:
    state, _ = rules.acquire(CREATING, NOW, run="run", lease_s=60)
    with pytest.raises(LeaseLost, match="wait until it is ready"):
        rules.check(state, NOW, run="run", generation=3)


def test_only_a_drainer_may_drain() -> None:
    assert rules.check_draining(TEARING_DOWN, NOW, run="drainer", generation=3)[1] == TEARING_DOWN
    for state, run in ((CREATING, "maker"), (READY, "user"), (TEARING_DOWN, "stranger")):
        with pytest.raises(LeaseLost):
            rules.check_draining(state, NOW, run=run, generation=3)
    with pytest.raises(LeaseLost):
        rules.check_draining(TEARING_DOWN, NOW, run="drainer", generation=2)
    with pytest.raises(LeaseLost, match="expired"):
        rules.check_draining(expired(TEARING_DOWN), NOW, run="drainer", generation=3)


def test_a_resource_is_recorded_before_and_completed_after_once() -> None:
    state = replace(CREATING, resources=())
    with pytest.raises(RegisterError, match="was not planned"):
        rules.complete_resource(state, NOW, run="maker", kind="cluster", name="c3", id="id3")
    state, _ = rules.plan_resource(state, NOW, run="maker", kind="cluster", name="c3")
    assert rules.plan_resource(state, NOW, run="maker", kind="cluster", name="c3")[0] == state
    with pytest.raises(RegisterError, match="cannot be ready: cluster c3 not completed"):
        rules.mark_ready(state, NOW, run="maker")
    state, _ = rules.complete_resource(state, NOW, run="maker", kind="cluster", name="c3", id="id3")
    assert rules.complete_resource(state, NOW, run="maker", kind="cluster", name="c3", id="id3")[0] == state
    with pytest.raises(RegisterError, match="is id3 .* id4 is a surplus one"):
        rules.complete_resource(state, NOW, run="maker", kind="cluster", name="c3", id="id4")
    assert rules.mark_ready(state, NOW, run="maker")[0].phase is Phase.READY


def test_nothing_is_planned_under_an_expired_lease() -> None:
    with pytest.raises(LeaseLost):
        rules.plan_resource(expired(CREATING), NOW, run="maker", kind="role", name="r")
    with pytest.raises(LeaseLost):
        rules.plan_snapshot(expired(TEARING_DOWN), NOW, run="drainer", name="s4")


def test_a_slot_is_empty_only_once_nothing_is_recorded_and_every_row_is_saved() -> None:
    with pytest.raises(RegisterError, match=r"is not empty: cluster c3, rows that are in no snapshot"):
        rules.mark_empty(TEARING_DOWN, NOW, run="drainer")
    state, _ = rules.plan_snapshot(TEARING_DOWN, NOW, run="drainer", name="s4")
    state, _ = rules.name_snapshot(state, NOW, run="drainer", name="s4")
    state, _ = rules.forget_resource(state, NOW, run="drainer", kind="cluster", name="c3")
    state, _ = rules.mark_empty(state, NOW, run="drainer")
    assert (state.phase, state.snapshot, state.predecessor) == (Phase.EMPTY, "s4", "s3")


def test_the_register_advances_only_to_the_snapshot_that_was_planned_and_once() -> None:
    with pytest.raises(RegisterError, match="awaits snapshot None, not s4"):
        rules.name_snapshot(TEARING_DOWN, NOW, run="drainer", name="s4")
    state, _ = rules.plan_snapshot(TEARING_DOWN, NOW, run="drainer", name="s4")
    with pytest.raises(RegisterError, match="s4 is pending"):
        rules.plan_snapshot(state, NOW, run="drainer", name="s5")
    named, _ = rules.name_snapshot(state, NOW, run="drainer", name="s4")
    assert rules.name_snapshot(named, NOW, run="drainer", name="s4")[0] == named
    with pytest.raises(RegisterError, match="no unsaved rows"):
        rules.plan_snapshot(named, NOW, run="drainer", name="s5")


def test_a_loss_that_is_admitted_leaves_the_newest_snapshot_named() -> None:
    state, _ = rules.plan_snapshot(TEARING_DOWN, NOW, run="drainer", name="s4")
    state, _ = rules.admit_loss(state, NOW, run="drainer")
    assert (state.snapshot, state.pending_snapshot, state.unsaved) == ("s3", None, False)


def test_pruning_spares_the_named_snapshot_its_predecessor_and_the_pending_one() -> None:
    state, _ = rules.plan_snapshot(TEARING_DOWN, NOW, run="drainer", name="s4")
    named, available = rules.protected_snapshots(state), ["s1", "s2", "s3", "s4", "s5"]
    assert named == {"s2", "s3", "s4"}
    assert rules.kept_snapshots(named, available, keep=0) == named
    assert rules.kept_snapshots(named, available, keep=1) == {*named, "s5"}
    assert rules.kept_snapshots(named, available, keep=4) == {*named, "s5"}
    assert rules.kept_snapshots(named, available, keep=9) == {*available}


@pytest.mark.parametrize(
    ("state", "generation", "id", "stray"),
    [
        (READY, 2, "id2", True),
        (READY, 3, "id3", False),
        (READY, 3, "surplus", True),
        (READY, 4, "id4", False),
        (CREATING, 3, "surplus", False),
        (TEARING_DOWN, 3, "surplus", False),
        (EMPTY, 3, "id3", True),
        (replace(READY, resources=()), 3, "id3", False),
    ],
)
def test_only_what_belongs_to_no_live_generation_is_stray(
    state: SlotState, generation: int, id: str, stray: bool
) -> None:
    assert rules.is_stray(state, generation, kind="cluster", id=id) is stray
