"""The register's rules: pure functions (state, caller, …) -> (state, answer), one slot at a time.

No rule waits, asks AWS or reads a clock, so that every interleaving can be explored
(tests/unit/airflow_lib/lifecycle/test_register_model.py). Storing what they answer is `register`'s.

    empty --acquire--> creating --mark_ready--> ready --release, take_over--> tearing down --mark_empty--> empty
                           +-------------release, take_over-----------------------^

`acquire`:

    the slot is                                    the run is to
    empty                                          create the next generation            CREATE
    being created, by this run                     go on creating (a task's retry)       CREATE
    being created, by another                      wait, with a lease, and acquire again WAIT
    being created, the creator's lease expired     go on creating it                     CREATE
    ready                                          use it                                USE
    being torn down, by another                    wait, without a lease                 WAIT
    being torn down, by this run                   go on tearing it down                 TEAR_DOWN
    being torn down, the owner's lease expired     tear it down, and acquire again       TEAR_DOWN

`release` by a run; `take_over` by the janitor, or by a run that has no lease:

    the last live holder, nothing kept alive       tears it down                         TEAR_DOWN
    the last live holder, a keep-alive             leaves it ready                       KEPT
    not the last                                   leaves it to the others               SHARED
    a creator that is not done                     tears it down                         TEAR_DOWN
    who tears it down, or takes that over          tears it down                         TEAR_DOWN
    a run without a lease, an empty slot           does nothing                          NOT_HELD

What can go wrong, and what comes of it:

    two runs finish at once            one write wins; the other one reads it: exactly one tears down
    a run acquires during a teardown   it waits without a lease, and opens the next generation
    an owner dies                      its lease expires; the next acquirer or the janitor takes over
    a run resumes after its lease was taken      LeaseLost from each rule; it touches nothing
    a run resumes before anybody noticed         `check` raises LeaseLost; `renew` gives the lease back
    a run is queued for longer than its lease    whoever releases meanwhile renews it (`renew_for`), or it does itself
    a trigger outlives its task        the late one deletes only what is being torn down (`check_tearing_down`), sends
                                       no second RunJobFlow (`record_request`), and says which generation it means
    a response is lost                 the nonce shows that the write was ours (`register`)
    the document is corrupt or newer             RegisterError, nothing is written (`document`)

**Opening a generation is the write-ahead.** Every name follows from it before anything is created, and a teardown
deletes by name. Only the owner of a teardown deletes: a creator that meets something broken releases, and the next
generation has new names. So whoever is late with a delete cannot hit what others use.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from airflow_lib.errors import LeaseLost, NotReady, RegisterError
from airflow_lib.lifecycle.document import Document, Lease, LivyRecord, Phase, SlotState
from airflow_lib.naming import MAX_GENERATION, Slot

# A task that is cleared alone finds no lease, unless Airflow clears its setups with it, provision.lease among them.
_TAKE_NEW_LEASES = (
    "Touch nothing: clear the run from provision.lease on, with what is downstream; it then takes new leases."
)

A = TypeVar("A")
Change = tuple[SlotState, A]


@dataclass(frozen=True)
class Caller:
    """Who asks, when by S3's clock, and how long a lease lasts that is taken or renewed now.

    `id` is a run's, or one pass of the janitor's; two callers with one id would both tear down.
    """

    id: str
    now: datetime
    lease_s: float

    @property
    def until(self) -> datetime:
        return self.now + timedelta(seconds=self.lease_s)


class AcquireOutcome(StrEnum):
    """What a run that acquires is to do."""

    CREATE = "create"
    USE = "use"
    WAIT = "wait"
    TEAR_DOWN = "tear_down"


class ReleaseOutcome(StrEnum):
    """What a run that releases is to do: nothing, unless it is TEAR_DOWN."""

    TEAR_DOWN = "tear_down"
    SHARED = "shared"
    KEPT = "kept"
    NOT_HELD = "not_held"


@dataclass(frozen=True)
class Grant:
    """The answer to `acquire`: what to do, why, and the slot as it is now."""

    outcome: AcquireOutcome
    why: str
    state: SlotState

    @property
    def generation(self) -> int:
        return self.state.generation


@dataclass(frozen=True)
class Release:
    """The answer to `release` and `take_over`: what to do, and the slot as it is now.

    SHARED names the `others` that hold it, KEPT says `until` when.
    """

    outcome: ReleaseOutcome
    state: SlotState
    others: tuple[str, ...] = ()
    until: datetime | None = None

    @property
    def generation(self) -> int:
        return self.state.generation


def acquire(state: SlotState, caller: Caller) -> Change[Grant]:
    """What the run is to do (table above), with a lease unless it waits for a teardown to end."""
    if state.phase is Phase.EMPTY:
        if state.generation >= MAX_GENERATION:
            raise RegisterError(
                f"Slot {state.slot} is at generation {state.generation}, the last that names have room for; no run "
                "came so far. Restore the register's last good version."
            )
        opened = replace(
            state,
            phase=Phase.CREATING,
            generation=state.generation + 1,
            owner=caller.id,
            leases=(Lease(caller.id, caller.until),),
            keep_alive_until=None,
        )
        return opened, Grant(AcquireOutcome.CREATE, "the slot was empty", opened)
    if state.phase is Phase.READY:
        used = replace(state, leases=state.with_lease(caller.id, caller.until))
        return used, Grant(AcquireOutcome.USE, "it is ready", used)
    owner = str(state.owner)  # a slot that is being created or torn down has one
    outcome = AcquireOutcome.CREATE if state.phase is Phase.CREATING else AcquireOutcome.TEAR_DOWN
    if owner == caller.id:
        renewed = replace(state, leases=state.with_lease(caller.id, caller.until))
        return renewed, Grant(outcome, "this run owns it already", renewed)
    if owner not in state.live(caller.now):
        rest = (lease for lease in state.with_lease(caller.id, caller.until) if lease.run != owner)
        taken = replace(state, owner=caller.id, leases=tuple(rest))
        return taken, Grant(outcome, f"the lease of its owner {owner} expired", taken)
    if state.phase is Phase.CREATING:
        state = replace(state, leases=state.with_lease(caller.id, caller.until))
    return state, Grant(AcquireOutcome.WAIT, f"{owner} is {state.phase.replace('_', ' ')} it", state)


def renew(
    document: Document, caller: Caller, *, needs: Slot | None = None, generation: int | None = None
) -> Document:
    """The document with all leases of the run renewed; one rule for both slots, so that it is one write.

    Raises LeaseLost where the run has none on the slot that it `needs`, or that is of another `generation`.
    """
    for slot in Slot:
        state = document.slot(slot)
        if slot is needs:
            _require_lease(state, caller.id, generation)
        if state.lease(caller.id) is not None:
            document = document.with_slot(replace(state, leases=state.with_lease(caller.id, caller.until)))
    return document


def renew_for(document: Document, caller: Caller, *, runs: Collection[str]) -> Document:
    """The document with the leases renewed that these runs have, expired ones too; who has none gets none.

    They are known to be under way, and nobody is at any of their tasks who could renew them (`steps.leases`).
    """
    for slot in Slot:
        state = document.slot(slot)
        leases = (replace(one, until=caller.until) if one.run in runs else one for one in state.leases)
        document = document.with_slot(replace(state, leases=tuple(leases)))
    return document


def check(state: SlotState, caller: Caller, *, generation: int | None = None) -> Change[SlotState]:
    """The slot as it is, where the run may use it now (or create it, or tear it down); None: whatever its generation.

    Raises LeaseLost where it may not; a lease that expired counts as lost although nobody took it.
    """
    lease = _require_lease(state, caller.id, generation)
    if not lease.is_live(caller.now):
        expired = lease.until <= caller.now
        why = f"expired at {lease.until:%H:%M:%S} UTC" if expired else "ends later than any lease can"
        raise LeaseLost(f"The lease of {caller.id} on {state} {why}. {_TAKE_NEW_LEASES}")
    if state.phase is not Phase.READY and state.owner != caller.id:
        raise LeaseLost(f"{caller.id} may not use {state} yet: wait until it is ready.")
    return state, state


def check_creating(state: SlotState, caller: Caller, *, generation: int) -> Change[SlotState]:
    """The slot as it is, where the run creates this generation now. Ask before anything is created.

    Raises LeaseLost: what is created after a teardown has begun would be left behind.
    """
    check(state, caller, generation=generation)
    _require_owner(state, caller, Phase.CREATING, generation)
    return state, state


def check_tearing_down(state: SlotState, caller: Caller, *, generation: int) -> Change[SlotState]:
    """The slot as it is, where the run tears this generation down now. Ask before anything is deleted.

    Raises LeaseLost. A creator may use its slot, too, but a late teardown of its own run (a trigger whose task was
    cleared) may not take away what it creates.
    """
    check(state, caller, generation=generation)
    _require_owner(state, caller, Phase.TEARING_DOWN, generation)
    return state, state


def record_request(
    state: SlotState, caller: Caller, *, generation: int, last: datetime | None
) -> Change[SlotState]:
    """The slot whose EMR cluster the creator is about to ask for; `last` is the newest request that it knows of.

    Raises LeaseLost, and NotReady where another process of the same run (a try before this one) has asked since.
    """
    check_creating(state, caller, generation=generation)
    if state.cluster_id is not None or state.requested_at != last:
        raise NotReady(f"the EMR cluster that another process of {caller.id} requested")
    requested = replace(state, requested_at=caller.now)
    return requested, requested


def record_cluster(
    state: SlotState, caller: Caller, *, generation: int, cluster_id: str
) -> Change[SlotState]:
    """The slot with the id of its EMR cluster, which never changes again.

    Raises LeaseLost, and RegisterError where another id is recorded: then this cluster is a duplicate.
    """
    _require_owner(state, caller, Phase.CREATING, generation)
    if state.cluster_id not in (None, cluster_id):
        raise RegisterError(
            f"The EMR cluster of {state} is {state.cluster_id}; {cluster_id} is a duplicate: never use it. "
            "The teardown or the janitor removes it."
        )
    recorded = replace(state, cluster_id=cluster_id)
    return recorded, recorded


def record_livy(state: SlotState, caller: Caller, *, generation: int, livy: LivyRecord) -> Change[SlotState]:
    """The slot with how its cluster's Livy was reached at first contact, which never changes again.

    Raises LeaseLost, and RegisterError where another process of the same run saw something else.
    """
    _require_owner(state, caller, Phase.CREATING, generation)
    if state.livy not in (None, livy):
        raise RegisterError(
            f"The Livy of {state} is recorded as {state.livy}, and is {livy} now: never use it. "
            "Find out who answers there; then clear the run: its release tears the cluster down."
        )
    recorded = replace(state, livy=livy)
    return recorded, recorded


def mark_ready(state: SlotState, caller: Caller, *, generation: int) -> Change[SlotState]:
    """The slot ready for every run; the creator becomes a user like the others.

    Raises LeaseLost, and RegisterError while the id of its EMR cluster, or how its Livy is reached, is not recorded.
    """
    if state.phase is Phase.READY:
        _require_lease(state, caller.id, generation)
        return state, state
    _require_owner(state, caller, Phase.CREATING, generation)
    if state.slot is Slot.EMR and (state.cluster_id is None or state.livy is None):
        lacking = "how its Livy is reached" if state.cluster_id else "its EMR cluster"
        raise RegisterError(
            f"{state} cannot be ready: {lacking} is not recorded. Clear provision.emr: it finds it."
        )
    ready = replace(state, phase=Phase.READY, owner=None, unsaved=state.slot is Slot.WAREHOUSE)
    return ready, ready


def release(
    state: SlotState,
    caller: Caller,
    *,
    generation: int | None = None,
    keep_alive_s: float = 0,
    end_keep_alive: bool = False,
) -> Change[Release]:
    """What the run that gives up its lease is to do (table above); one on another `generation` is NOT_HELD.

    `keep_alive_s` > 0 keeps the slot ready for so long from now, or longer if it is kept longer already;
    `end_keep_alive` ends what others left, e.g. because the cluster is broken.
    """
    if state.lease(caller.id) is None or generation not in (None, state.generation):
        return state, Release(ReleaseOutcome.NOT_HELD, state)
    if state.owner == caller.id:
        return _begin_teardown(state, caller)
    state = replace(state, leases=state.without_lease(caller.id))
    if state.phase is Phase.READY:
        until = _keep_alive_until(state, caller.now, keep_alive_s, end_keep_alive)
        state = replace(state, keep_alive_until=until)
    return _tear_down_if_unheld(state, caller)


def take_over(state: SlotState, caller: Caller, *, end_keep_alive: bool = False) -> Change[Release]:
    """What whoever finds the slot without a lease on it is to do.

    `end_keep_alive` ends what others left, by one that knows that no run is to come for which it was.

    Where others hold it, expired leases stay: their runs may wait in Airflow's queue, and renew them when they go on.
    """
    if state.phase is Phase.EMPTY:
        return state, Release(ReleaseOutcome.NOT_HELD, state)
    if state.owner == caller.id:
        return _begin_teardown(state, caller)
    if end_keep_alive and state.phase is Phase.READY:
        state = replace(state, keep_alive_until=None)
    return _tear_down_if_unheld(state, caller)


def plan_snapshot(state: SlotState, caller: Caller, *, generation: int, name: str) -> Change[SlotState]:
    """The warehouse with the final snapshot that the teardown is about to ask for.

    Raises LeaseLost, and RegisterError where there is nothing to save or another one is pending.
    """
    check_tearing_down(state, caller, generation=generation)
    if not state.unsaved or state.pending_snapshot not in (None, name):
        cause = f"{state.pending_snapshot} is pending" if state.unsaved else "it has no unsaved rows"
        raise RegisterError(
            f"{state} cannot plan snapshot {name}: {cause}. Clear this task: it reads the register again."
        )
    planned = replace(state, pending_snapshot=name)
    return planned, planned


def record_snapshot(state: SlotState, caller: Caller, *, generation: int, name: str) -> Change[SlotState]:
    """The warehouse with the pending snapshot, which was seen available, as its newest.

    Raises LeaseLost, and RegisterError where it was not planned.
    """
    _require_owner(state, caller, Phase.TEARING_DOWN, generation)
    if state.snapshot == name:
        return state, state
    if state.pending_snapshot != name:
        raise RegisterError(f"{state} awaits snapshot {state.pending_snapshot}, not {name}. Clear this task.")
    saved = replace(
        state,
        snapshot=name,
        predecessor=state.snapshot,
        pending_snapshot=None,
        unsaved=False,
        absent_since=None,
    )
    return saved, saved


def record_absence(state: SlotState, caller: Caller, *, generation: int, absent: bool) -> Change[float]:
    """For how many seconds AWS has answered that the pending snapshot does not exist, this answer being the last.

    An answer that it does exist, or that the warehouse does, ends that. It is kept here, so that looks of later
    tries and of other holders count as well. Raises LeaseLost.
    """
    _require_owner(state, caller, Phase.TEARING_DOWN, generation)
    since = (state.absent_since or caller.now) if absent else None
    seen = replace(state, absent_since=since)
    return seen, (caller.now - since).total_seconds() if since else 0.0


def record_loss(state: SlotState, caller: Caller, *, generation: int) -> Change[SlotState]:
    """The warehouse without its unsaved rows: cluster and final snapshot were seen to be gone.

    The next generation is restored from the newest snapshot. Raises LeaseLost.
    """
    _require_owner(state, caller, Phase.TEARING_DOWN, generation)
    lost = replace(state, pending_snapshot=None, unsaved=False, absent_since=None)
    return lost, lost


def mark_empty(state: SlotState, caller: Caller, *, generation: int) -> Change[SlotState]:
    """The slot empty: the next acquirer opens a generation.

    Raises LeaseLost, and RegisterError while rows are in no snapshot.
    """
    _require_owner(state, caller, Phase.TEARING_DOWN, generation)
    if state.unsaved:
        raise RegisterError(
            f"{state} is not empty: it has rows that are in no snapshot (pending: {state.pending_snapshot}). "
            "Clear this task: it takes the final snapshot first."
        )
    empty = replace(
        state,
        phase=Phase.EMPTY,
        owner=None,
        leases=(),
        keep_alive_until=None,
        requested_at=None,
        cluster_id=None,
        livy=None,
    )
    return empty, empty


def _tear_down_if_unheld(state: SlotState, caller: Caller) -> Change[Release]:
    """For one that holds nothing (any more): tear down, if nobody else is there to."""
    others = state.live(caller.now)
    if others:
        return state, Release(ReleaseOutcome.SHARED, state, others=others)
    if state.phase is Phase.READY and state.kept_alive(caller.now):
        return state, Release(ReleaseOutcome.KEPT, state, until=state.keep_alive_until)
    return _begin_teardown(state, caller)


def _begin_teardown(state: SlotState, caller: Caller) -> Change[Release]:
    begun = replace(
        state,
        phase=Phase.TEARING_DOWN,
        owner=caller.id,
        leases=(Lease(caller.id, caller.until),),
        keep_alive_until=None,
    )
    return begun, Release(ReleaseOutcome.TEAR_DOWN, begun)


def _keep_alive_until(state: SlotState, now: datetime, keep_alive_s: float, end: bool) -> datetime | None:
    if end:
        return None
    kept = state.keep_alive_until if state.kept_alive(now) else None
    if keep_alive_s <= 0:
        return kept
    wanted = now + timedelta(seconds=keep_alive_s)
    return max(kept, wanted) if kept else wanted


def _require_lease(state: SlotState, run: str, generation: int | None) -> Lease:
    lease = state.lease(run)
    if lease is None or generation not in (None, state.generation):
        held = f"generation {generation} of the {state.slot} slot" if generation else f"the {state.slot} slot"
        raise LeaseLost(f"{run} no longer holds {held}; now it is {state}. {_TAKE_NEW_LEASES}")
    return lease


def _require_owner(state: SlotState, caller: Caller, phase: Phase, generation: int) -> None:
    if (state.phase, state.owner, state.generation) != (phase, caller.id, generation):
        meant = f"generation {generation} of the {state.slot} slot"
        raise LeaseLost(
            f"{caller.id} is not {phase.replace('_', ' ')} {meant} (any more); now it is {state}. "
            "Touch nothing: clear the task to take a new lease."
        )
