"""Each outcome in the tables of `rules`, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_lib.errors import LeaseLost, NotReady, RegisterError
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import Document, Lease, LivyRecord, Phase, SlotState
from airflow_lib.lifecycle.rules import AcquireOutcome, Caller, ReleaseOutcome
from airflow_lib.naming import Slot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=600)
EARLIER = NOW - timedelta(seconds=600)

EMPTY = SlotState(Slot.WAREHOUSE, generation=3, snapshot="s3", predecessor="s2")
CREATING = replace(EMPTY, phase=Phase.CREATING, owner="creator", leases=(Lease("creator", LATER),))
READY = replace(CREATING, phase=Phase.READY, owner=None, leases=(Lease("user", LATER),), unsaved=True)
TEARING_DOWN = replace(READY, phase=Phase.TEARING_DOWN, owner="remover", leases=(Lease("remover", LATER),))


EMR_CREATING = replace(CREATING, slot=Slot.EMR, snapshot=None, predecessor=None)
PINNED = LivyRecord("https", "a" * 64)


def by(run: str) -> Caller:
    return Caller(run, NOW, lease_s=60)


def expired(state: SlotState) -> SlotState:
    return replace(state, leases=tuple(Lease(lease.run, EARLIER) for lease in state.leases))


def runs(state: SlotState) -> list[str]:
    return [lease.run for lease in state.leases]


@pytest.mark.parametrize(
    ("state", "run", "outcome", "generation", "holders"),
    [
        pytest.param(EMPTY, "run", AcquireOutcome.CREATE, 4, ["run"], id="empty"),
        pytest.param(CREATING, "creator", AcquireOutcome.CREATE, 3, ["creator"], id="its own creation"),
        pytest.param(CREATING, "run", AcquireOutcome.WAIT, 3, ["creator", "run"], id="another's creation"),
        pytest.param(expired(CREATING), "run", AcquireOutcome.CREATE, 3, ["run"], id="a dead creator's"),
        pytest.param(READY, "run", AcquireOutcome.USE, 3, ["run", "user"], id="ready"),
        pytest.param(
            expired(READY), "user", AcquireOutcome.USE, 3, ["user"], id="ready, with an expired lease"
        ),
        pytest.param(TEARING_DOWN, "run", AcquireOutcome.WAIT, 3, ["remover"], id="another's teardown"),
        pytest.param(
            TEARING_DOWN, "remover", AcquireOutcome.TEAR_DOWN, 3, ["remover"], id="its own teardown"
        ),
        pytest.param(
            expired(TEARING_DOWN), "run", AcquireOutcome.TEAR_DOWN, 3, ["run"], id="a dead owner's teardown"
        ),
    ],
)
def test_an_acquirer_gets_its_outcome(
    state: SlotState, run: str, outcome: AcquireOutcome, generation: int, holders: list[str]
) -> None:
    after, grant = rules.acquire(state, by(run))
    assert (grant.outcome, grant.generation, runs(after)) == (outcome, generation, holders)
    assert grant.state == after
    if run in runs(after):
        assert after.lease(run).until == NOW + timedelta(seconds=60)
    if outcome in (AcquireOutcome.CREATE, AcquireOutcome.TEAR_DOWN):
        assert after.owner == run


def test_who_takes_a_creation_over_finds_what_was_recorded() -> None:
    state, _ = rules.record_request(EMR_CREATING, by("creator"), generation=3, last=None)
    state, _ = rules.record_cluster(state, by("creator"), generation=3, cluster_id="j-1")
    state, _ = rules.record_livy(state, by("creator"), generation=3, livy=PINNED)
    found = rules.acquire(expired(state), by("run"))[1].state
    assert (found.requested_at, found.cluster_id, found.livy) == (NOW, "j-1", PINNED)


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
            CREATING, "creator", ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a creator that failed"
        ),
        pytest.param(
            replace(CREATING, leases=(Lease("creator", LATER), Lease("run", LATER))),
            "run",
            ReleaseOutcome.SHARED,
            Phase.CREATING,
            id="who waited for a creator",
        ),
        pytest.param(
            replace(CREATING, leases=(Lease("creator", EARLIER), Lease("run", LATER))),
            "run",
            ReleaseOutcome.TEAR_DOWN,
            Phase.TEARING_DOWN,
            id="who waited for a dead creator",
        ),
        pytest.param(
            TEARING_DOWN, "remover", ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="its own teardown again"
        ),
        pytest.param(
            TEARING_DOWN, "run", ReleaseOutcome.NOT_HELD, Phase.TEARING_DOWN, id="who waited for a teardown"
        ),
        pytest.param(READY, "run", ReleaseOutcome.NOT_HELD, Phase.READY, id="a run without a lease"),
        pytest.param(EMPTY, "run", ReleaseOutcome.NOT_HELD, Phase.EMPTY, id="an empty slot"),
    ],
)
def test_a_release_has_its_outcome(state: SlotState, run: str, outcome: ReleaseOutcome, phase: Phase) -> None:
    after, answer = rules.release(state, by(run))
    assert (answer.outcome, after.phase) == (outcome, phase)
    if outcome is ReleaseOutcome.TEAR_DOWN:
        assert (after.owner, after.leases) == (run, (Lease(run, NOW + timedelta(seconds=60)),))
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
def test_keep_alive_is_a_lease_that_is_only_ever_extended_or_ended(
    kept_until: datetime | None, keep_alive_s: float, end: bool, until: datetime | None
) -> None:
    state = replace(READY, keep_alive_until=kept_until)
    _, answer = rules.release(state, by("user"), keep_alive_s=keep_alive_s, end_keep_alive=end)
    assert answer.until == until
    assert answer.outcome is (ReleaseOutcome.KEPT if until else ReleaseOutcome.TEAR_DOWN)


def test_a_keep_alive_counts_although_others_still_hold_the_slot() -> None:
    state = replace(READY, leases=(Lease("other", LATER), Lease("user", LATER)))
    after, _ = rules.release(state, by("user"), keep_alive_s=60)
    assert rules.release(after, by("other"))[1].outcome is ReleaseOutcome.KEPT


def test_waiters_of_a_failed_creation_open_the_next_generation() -> None:
    state, _ = rules.acquire(CREATING, by("waiter"))
    state, _ = rules.release(state, by("creator"))
    assert rules.acquire(state, by("waiter"))[1].outcome is AcquireOutcome.WAIT
    state, _ = rules.mark_empty(state, by("creator"), generation=3)
    grant = rules.acquire(state, by("waiter"))[1]
    assert (grant.outcome, grant.generation) == (AcquireOutcome.CREATE, 4)


@pytest.mark.parametrize(
    ("state", "outcome", "phase"),
    [
        pytest.param(EMPTY, ReleaseOutcome.NOT_HELD, Phase.EMPTY, id="empty"),
        pytest.param(CREATING, ReleaseOutcome.SHARED, Phase.CREATING, id="being created"),
        pytest.param(expired(CREATING), ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a dead creator's"),
        pytest.param(
            replace(CREATING, leases=(Lease("creator", EARLIER), Lease("run", LATER))),
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
        pytest.param(TEARING_DOWN, ReleaseOutcome.SHARED, Phase.TEARING_DOWN, id="being torn down"),
        pytest.param(
            expired(TEARING_DOWN), ReleaseOutcome.TEAR_DOWN, Phase.TEARING_DOWN, id="a dead owner's teardown"
        ),
    ],
)
def test_the_janitor_takes_over_what_nobody_living_holds(
    state: SlotState, outcome: ReleaseOutcome, phase: Phase
) -> None:
    after, answer = rules.take_over(state, by("janitor"))
    assert (answer.outcome, after.phase) == (outcome, phase)
    assert (after.owner == "janitor") is (outcome is ReleaseOutcome.TEAR_DOWN)


def test_the_janitor_leaves_a_slot_that_others_use_as_it_is_expired_leases_included() -> None:
    """A run that is queued for longer than its lease renews it when it goes on."""
    state = replace(READY, leases=(Lease("queued", EARLIER), Lease("user", LATER)))
    after, answer = rules.take_over(state, by("janitor"))
    assert (after, answer.others) == (state, ("user",))


def renew(state: SlotState, run: str, generation: int | None) -> SlotState:
    document = Document("env").with_slot(state)
    return rules.renew(document, by(run), needs=state.slot, generation=generation).slot(state.slot)


def test_an_expired_lease_that_nobody_took_may_not_be_used_but_can_be_renewed() -> None:
    state = expired(READY)
    with pytest.raises(LeaseLost, match="expired at 11:50:00 UTC. Touch nothing"):
        rules.check(state, by("user"), generation=3)
    state = renew(state, "user", 3)
    assert rules.check(state, by("user"), generation=3)[1] == state


@pytest.mark.parametrize(
    ("state", "run", "generation"),
    [(READY, "nobody", 3), (READY, "user", 2), (TEARING_DOWN, "user", 3), (EMPTY, "user", 3)],
)
def test_a_lease_that_was_taken_is_neither_used_nor_renewed(
    state: SlotState, run: str, generation: int
) -> None:
    with pytest.raises(LeaseLost, match=rf"no longer holds generation {generation} of the warehouse slot"):
        rules.check(state, by(run), generation=generation)
    with pytest.raises(LeaseLost):
        renew(state, run, generation)


def test_renewing_prolongs_the_leases_of_one_run_on_both_slots_and_no_others() -> None:
    emr = replace(READY, slot=Slot.EMR, cluster_id="j-1", unsaved=False, snapshot=None, predecessor=None)
    both = Document(
        "env", emr=replace(emr, leases=(Lease("other", LATER), Lease("user", EARLIER))), warehouse=READY
    )
    renewed = rules.renew(both, by("user"), needs=Slot.WAREHOUSE)
    until = NOW + timedelta(seconds=60)
    assert renewed.emr.leases == (Lease("other", LATER), Lease("user", until))
    assert renewed.warehouse.leases == (Lease("user", until),)
    assert rules.renew(both, by("nobody")) == both


def test_leases_of_runs_that_are_under_way_are_renewed_by_another_and_none_is_given() -> None:
    state = replace(READY, leases=(Lease("dead", EARLIER), Lease("queued", EARLIER), Lease("user", LATER)))
    renewed = rules.renew_for(Document("env").with_slot(state), by("user"), runs=["queued", "without"])
    until = NOW + timedelta(seconds=60)
    assert renewed.warehouse.leases == (Lease("dead", EARLIER), Lease("queued", until), Lease("user", LATER))
    assert renewed.emr.leases == ()
    assert rules.release(renewed.warehouse, by("user"))[1].others == ("queued",)


def test_who_waits_for_a_creator_may_not_use_the_slot_yet() -> None:
    state, _ = rules.acquire(CREATING, by("run"))
    with pytest.raises(LeaseLost, match="wait until it is ready"):
        rules.check(state, by("run"), generation=3)


def test_only_the_owner_of_a_teardown_tears_down() -> None:
    assert rules.check_tearing_down(TEARING_DOWN, by("remover"), generation=3)[1] == TEARING_DOWN
    for state, run in ((CREATING, "creator"), (READY, "user"), (TEARING_DOWN, "nobody")):
        with pytest.raises(LeaseLost):
            rules.check_tearing_down(state, by(run), generation=3)
    with pytest.raises(LeaseLost):
        rules.check_tearing_down(TEARING_DOWN, by("remover"), generation=2)
    with pytest.raises(LeaseLost, match="expired"):
        rules.check_tearing_down(expired(TEARING_DOWN), by("remover"), generation=3)


def test_only_the_creator_creates() -> None:
    assert rules.check_creating(CREATING, by("creator"), generation=3)[1] == CREATING
    for state, run in ((TEARING_DOWN, "remover"), (READY, "user"), (CREATING, "nobody")):
        with pytest.raises(LeaseLost):
            rules.check_creating(state, by(run), generation=3)
    with pytest.raises(LeaseLost):
        rules.check_creating(CREATING, by("creator"), generation=2)
    with pytest.raises(LeaseLost, match="expired"):
        rules.check_creating(expired(CREATING), by("creator"), generation=3)


def test_an_emr_cluster_is_recorded_once_and_only_then_is_its_slot_ready() -> None:
    state, _ = rules.record_request(EMR_CREATING, by("creator"), generation=3, last=None)
    assert state.requested_at == NOW
    with pytest.raises(RegisterError, match="cannot be ready: its EMR cluster is not recorded"):
        rules.mark_ready(state, by("creator"), generation=3)
    state, _ = rules.record_cluster(state, by("creator"), generation=3, cluster_id="j-1")
    assert rules.record_cluster(state, by("creator"), generation=3, cluster_id="j-1")[0] == state
    with pytest.raises(RegisterError, match="is j-1; j-2 is a duplicate"):
        rules.record_cluster(state, by("creator"), generation=3, cluster_id="j-2")
    state, _ = rules.record_livy(state, by("creator"), generation=3, livy=PINNED)
    assert rules.mark_ready(state, by("creator"), generation=3)[0].phase is Phase.READY


@pytest.mark.parametrize("other", [LivyRecord("http"), LivyRecord("https"), LivyRecord("https", "b" * 64)])
def test_how_livy_is_reached_is_recorded_once_and_only_then_is_its_slot_ready(other: LivyRecord) -> None:
    state, _ = rules.record_cluster(EMR_CREATING, by("creator"), generation=3, cluster_id="j-1")
    with pytest.raises(RegisterError, match="cannot be ready: how its Livy is reached is not recorded"):
        rules.mark_ready(state, by("creator"), generation=3)
    state, _ = rules.record_livy(state, by("creator"), generation=3, livy=PINNED)
    assert rules.record_livy(state, by("creator"), generation=3, livy=PINNED)[0] == state
    with pytest.raises(
        RegisterError, match=f"is recorded as https with certificate {'a' * 64}, and is {other} now"
    ):
        rules.record_livy(state, by("creator"), generation=3, livy=other)
    assert rules.mark_ready(state, by("creator"), generation=3)[0].livy == PINNED


def test_an_emr_cluster_is_requested_again_only_by_who_knows_the_newest_request() -> None:
    state, _ = rules.record_request(EMR_CREATING, by("creator"), generation=3, last=None)
    with pytest.raises(NotReady, match="that another process of creator requested"):
        rules.record_request(state, by("creator"), generation=3, last=None)
    assert rules.record_request(state, by("creator"), generation=3, last=NOW)[0] == state
    state, _ = rules.record_cluster(state, by("creator"), generation=3, cluster_id="j-1")
    with pytest.raises(NotReady):
        rules.record_request(state, by("creator"), generation=3, last=NOW)


@pytest.mark.parametrize(
    ("state", "rule", "given"),
    [
        (EMR_CREATING, rules.record_request, {"last": None}),
        (EMR_CREATING, rules.record_cluster, {"cluster_id": "j-1"}),
        (EMR_CREATING, rules.record_livy, {"livy": PINNED}),
        (CREATING, rules.mark_ready, {}),
        (replace(READY, leases=(Lease("creator", LATER),)), rules.mark_ready, {}),
        (replace(TEARING_DOWN, owner="creator", leases=CREATING.leases), rules.plan_snapshot, {"name": "s4"}),
        (
            replace(TEARING_DOWN, owner="creator", leases=CREATING.leases),
            rules.record_snapshot,
            {"name": "s4"},
        ),
        (
            replace(TEARING_DOWN, owner="creator", leases=CREATING.leases),
            rules.record_absence,
            {"absent": True},
        ),
        (replace(TEARING_DOWN, owner="creator", leases=CREATING.leases), rules.record_loss, {}),
        (replace(TEARING_DOWN, owner="creator", leases=CREATING.leases), rules.mark_empty, {}),
    ],
)
def test_who_is_late_by_a_generation_changes_nothing(
    state: SlotState, rule: Callable[..., Any], given: dict[str, Any]
) -> None:
    with pytest.raises(LeaseLost, match="generation 2"):
        rule(state, by("creator"), generation=2, **given)


def test_a_late_release_leaves_the_next_generation_alone() -> None:
    assert rules.release(READY, by("user"), generation=2)[1].outcome is ReleaseOutcome.NOT_HELD
    assert rules.release(READY, by("user"), generation=3)[1].outcome is ReleaseOutcome.TEAR_DOWN


def test_nothing_is_planned_under_an_expired_lease() -> None:
    with pytest.raises(LeaseLost):
        rules.record_request(expired(EMR_CREATING), by("creator"), generation=3, last=None)
    with pytest.raises(LeaseLost):
        rules.plan_snapshot(expired(TEARING_DOWN), by("remover"), generation=3, name="s4")


def test_a_slot_is_empty_only_once_every_row_is_saved() -> None:
    with pytest.raises(RegisterError, match=r"is not empty: it has rows that are in no snapshot"):
        rules.mark_empty(TEARING_DOWN, by("remover"), generation=3)
    state, _ = rules.plan_snapshot(TEARING_DOWN, by("remover"), generation=3, name="s4")
    state, _ = rules.record_snapshot(state, by("remover"), generation=3, name="s4")
    state, _ = rules.mark_empty(state, by("remover"), generation=3)
    assert (state.phase, state.snapshot, state.predecessor) == (Phase.EMPTY, "s4", "s3")


def test_the_next_generation_knows_nothing_of_the_cluster_before_it() -> None:
    state, _ = rules.record_request(EMR_CREATING, by("creator"), generation=3, last=None)
    state, _ = rules.record_cluster(state, by("creator"), generation=3, cluster_id="j-1")
    state, _ = rules.record_livy(state, by("creator"), generation=3, livy=PINNED)
    state, _ = rules.release(state, by("creator"))
    state, _ = rules.mark_empty(state, by("creator"), generation=3)
    state, _ = rules.acquire(state, by("run"))
    assert (state.generation, state.requested_at, state.cluster_id, state.livy) == (4, None, None, None)


def test_the_register_advances_only_to_the_snapshot_that_was_planned_and_once() -> None:
    with pytest.raises(RegisterError, match="awaits snapshot None, not s4"):
        rules.record_snapshot(TEARING_DOWN, by("remover"), generation=3, name="s4")
    state, _ = rules.plan_snapshot(TEARING_DOWN, by("remover"), generation=3, name="s4")
    with pytest.raises(RegisterError, match="s4 is pending"):
        rules.plan_snapshot(state, by("remover"), generation=3, name="s5")
    named, _ = rules.record_snapshot(state, by("remover"), generation=3, name="s4")
    assert rules.record_snapshot(named, by("remover"), generation=3, name="s4")[0] == named
    with pytest.raises(RegisterError, match="no unsaved rows"):
        rules.plan_snapshot(named, by("remover"), generation=3, name="s5")


def test_the_time_for_which_a_snapshot_is_absent_is_counted_from_the_first_look_whoever_looks() -> None:
    state, absent_s = rules.record_absence(TEARING_DOWN, by("remover"), generation=3, absent=True)
    assert absent_s == 0
    heir = replace(state, owner="heir", leases=(Lease("heir", LATER),))
    later = replace(by("heir"), now=by("heir").now + timedelta(seconds=61))
    again, absent_s = rules.record_absence(heir, later, generation=3, absent=True)
    assert (again, absent_s) == (heir, 61)


def test_a_look_that_finds_the_snapshot_or_its_warehouse_begins_the_count_anew() -> None:
    state, _ = rules.record_absence(TEARING_DOWN, by("remover"), generation=3, absent=True)
    assert rules.record_absence(state, by("remover"), generation=3, absent=False) == (TEARING_DOWN, 0)
    planned, _ = rules.plan_snapshot(state, by("remover"), generation=3, name="s4")
    for ended, _ in (
        rules.record_snapshot(planned, by("remover"), generation=3, name="s4"),
        rules.record_loss(planned, by("remover"), generation=3),
    ):
        assert ended.absent_since is None


def test_a_recorded_loss_leaves_the_newest_snapshot_named() -> None:
    state, _ = rules.plan_snapshot(TEARING_DOWN, by("remover"), generation=3, name="s4")
    state, _ = rules.record_loss(state, by("remover"), generation=3)
    assert (state.snapshot, state.pending_snapshot, state.unsaved) == ("s3", None, False)


def test_the_named_snapshot_its_predecessor_and_the_pending_one_are_protected() -> None:
    state, _ = rules.plan_snapshot(TEARING_DOWN, by("remover"), generation=3, name="s4")
    assert state.protected_snapshots == {"s2", "s3", "s4"}
    assert SlotState(Slot.WAREHOUSE).protected_snapshots == frozenset()


FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def forever(state: SlotState) -> SlotState:
    return replace(state, leases=tuple(Lease(lease.run, FOREVER) for lease in state.leases))


def test_a_lease_until_9999_keeps_nobody_from_cleaning_up() -> None:
    for state in (CREATING, READY, TEARING_DOWN):
        _, taken = rules.take_over(forever(state), by("janitor"))
        assert taken.outcome is ReleaseOutcome.TEAR_DOWN
    _, grant = rules.acquire(forever(CREATING), by("run"))
    assert grant.outcome is AcquireOutcome.CREATE
    kept = replace(READY, leases=(Lease("user", EARLIER),), keep_alive_until=FOREVER)
    assert rules.take_over(kept, by("janitor"))[1].outcome is ReleaseOutcome.TEAR_DOWN


def test_a_run_whose_lease_is_longer_than_any_can_be_uses_nothing_until_it_is_renewed() -> None:
    with pytest.raises(LeaseLost, match="ends later than any lease can. Touch nothing"):
        rules.check(forever(READY), by("user"))
    document = rules.renew(Document("e", warehouse=forever(READY)), by("user"))
    assert rules.check(document.warehouse, by("user"))


def test_the_last_generation_that_names_have_room_for_is_the_last() -> None:
    with pytest.raises(RegisterError, match="generation 9999999, the last .* Restore the register"):
        rules.acquire(replace(EMPTY, generation=9_999_999), by("run"))
