"""The register's rules: pure functions (state, now, …) -> (state, answer), one slot at a time.

No rule waits, asks AWS or reads a clock, so that every interleaving can be explored
(tests/unit/airflow_lib/lifecycle/test_register_model.py). Storing what they answer is `register`'s.

    empty --acquire--> creating --mark_ready--> ready --release, reap--> draining --mark_empty--> empty
                           +------------release, reap-----------------------^

Coming (`acquire`):

    slot is                                  the run becomes
    empty                                    creator of the next generation          CREATE
    creating, by this run                    creator again (a task's retry)          CREATE
    creating, by another                     one of its users to be; polls           WAIT
    creating, the creator's lease expired    creator, with what is recorded          CREATE
    ready                                    a user                                  USE
    draining, by another                     nothing yet; opens the next generation  WAIT
    draining, by this run                    drainer again                           DRAIN
    draining, the drainer's lease expired    drainer; acquires again when empty      DRAIN

Going (`release` by a run; `reap` by the janitor, or by a run that has no work, in the same way):

    the last live holder, nothing kept alive     drains                              DRAIN
    the last live holder, a keep-alive lease     leaves it ready                     KEPT
    not the last                                 leaves it to the others             SHARED
    a creator that is not done                   drains; who waited for it opens the next generation   DRAIN
    a drainer, or one that takes over            drains                              DRAIN
    a run without a lease, an empty slot         does nothing                        NOT_HELD

What can go wrong, and what comes of it:

    two runs finish at once         one swap wins; the other reads it: exactly one drains
    a run comes while it drains     it waits without a lease, and opens the next generation
    a creator or drainer dies       its lease expires; the next comer or the janitor takes over
    a run wakes up after its lease was taken     LeaseLost from each rule; it touches nothing
    a run wakes up before anybody noticed        `check` says LeaseLost; `renew` gives the lease back
    a trigger outlives its task     `check_draining`: the late one deletes nothing but what is drained
    a response is lost              the nonce tells that the write was ours (`register`)
    the document is corrupt or newer             RegisterError, nothing is written (`register_document`)

Nothing is deleted but by a drainer: a creator that meets something broken releases, and the next generation
has new names. So whoever is late with a delete cannot hit what others use.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from airflow_lib.errors import LeaseLost, RegisterError
from airflow_lib.lifecycle.document import Lease, Phase, Resource, SlotState
from airflow_lib.naming import Slot

A = TypeVar("A")
Change = tuple[SlotState, A]


class AcquireOutcome(StrEnum):
    """What a run that came is to do."""

    CREATE = "create"
    USE = "use"
    WAIT = "wait"
    TEAR_DOWN = "tear_down"


class ReleaseOutcome(StrEnum):
    """What a run that went is to do: nothing, unless it is DRAIN."""

    TEAR_DOWN = "tear_down"
    SHARED = "shared"
    KEPT = "kept"
    NOT_HELD = "not_held"


@dataclass(frozen=True)
class Grant:
    """The answer to `acquire`: the role, why, and the slot as it is now.

    CREATE: create what `state.resources` does not have yet, adopt what it has; the warehouse from `restore`.
    USE: use what `state.resources` names. WAIT: acquire again later. DRAIN: as after `release`, then acquire
    again.
    """

    outcome: AcquireOutcome
    why: str
    state: SlotState

    @property
    def generation(self) -> int:
        return self.state.generation

    @property
    def restore(self) -> str | None:
        """The snapshot that the warehouse is created from; None only if none was ever named."""
        return self.state.snapshot


@dataclass(frozen=True)
class Release:
    """The answer to `release` and `reap`: what to do, and the slot as it is now.

    SHARED names the `others` that hold it, KEPT says `until` when.
    """

    outcome: ReleaseOutcome
    state: SlotState
    others: tuple[str, ...] = ()
    until: datetime | None = None

    @property
    def generation(self) -> int:
        return self.state.generation

    @property
    def resources(self) -> tuple[Resource, ...]:
        return self.state.resources


def acquire(state: SlotState, now: datetime, *, run: str, lease_s: float) -> Change[Grant]:
    """The run's role in the slot (table above), with a lease unless it waits for a drain to end."""
    until = now + timedelta(seconds=lease_s)
    if state.phase is Phase.EMPTY:
        opened = replace(
            state,
            phase=Phase.CREATING,
            generation=state.generation + 1,
            owner=run,
            leases=(Lease(run, until),),
            keep_alive_until=None,
        )
        return opened, Grant(AcquireOutcome.CREATE, "the slot was empty", opened)
    if state.phase is Phase.READY:
        used = replace(state, leases=state.with_lease(run, until))
        return used, Grant(AcquireOutcome.USE, "it is ready", used)
    owner = state.owner
    assert owner is not None
    role = AcquireOutcome.CREATE if state.phase is Phase.CREATING else AcquireOutcome.TEAR_DOWN
    if owner == run:
        renewed = replace(state, leases=state.with_lease(run, until))
        return renewed, Grant(role, "this run is at it already", renewed)
    if owner not in state.live(now):
        rest = (lease for lease in state.with_lease(run, until) if lease.run != owner)
        taken = replace(state, owner=run, leases=tuple(rest))
        return taken, Grant(role, f"the lease of {owner}, which was {state.phase}, expired", taken)
    if state.phase is Phase.CREATING:
        state = replace(state, leases=state.with_lease(run, until))
    return state, Grant(AcquireOutcome.WAIT, f"{owner} is {state.phase}", state)


def renew(
    state: SlotState, now: datetime, *, run: str, generation: int | None = None, lease_s: float
) -> Change[SlotState]:
    """The slot with the run's lease prolonged. Raises LeaseLost once it was taken away."""
    _require_lease(state, run, generation)
    renewed = replace(state, leases=state.with_lease(run, now + timedelta(seconds=lease_s)))
    return renewed, renewed


def check(state: SlotState, now: datetime, *, run: str, generation: int | None = None) -> Change[SlotState]:
    """The slot as it is, where the run may use it (or create or drain it) now; None: of whatever generation.

    Raises LeaseLost where it may not; a lease that expired counts as lost although nobody took it.
    """
    lease = _require_lease(state, run, generation)
    if lease.until <= now:
        raise LeaseLost(
            f"The lease of {run} on {_tell(state)} expired at {lease.until:%H:%M:%S} UTC. "
            "Renew it before anything is touched."
        )
    if state.phase is not Phase.READY and state.owner != run:
        raise LeaseLost(f"{run} may not use {_tell(state)} yet: wait until it is ready.")
    return state, state


def check_draining(state: SlotState, now: datetime, *, run: str, generation: int) -> Change[SlotState]:
    """The slot as it is, where the run drains it now. Raises LeaseLost.

    A creator may use its slot, too, but a late drain of its own run (a trigger whose task was cleared) may not
    take away what it makes.
    """
    check(state, now, run=run, generation=generation)
    _require_owner(state, run, Phase.TEARING_DOWN)
    return state, state


def plan_resource(state: SlotState, now: datetime, *, run: str, kind: str, name: str) -> Change[SlotState]:
    """The slot with a resource that the creator is about to create. Raises LeaseLost."""
    _require_owner(state, run, Phase.CREATING)
    check(state, now, run=run, generation=state.generation)
    if state.find(kind, name) is not None:
        return state, state
    planned = replace(state, resources=(*state.resources, Resource(kind, name)))
    return planned, planned


def complete_resource(
    state: SlotState, now: datetime, *, run: str, kind: str, name: str, id: str
) -> Change[SlotState]:
    """The slot with a planned resource's id, which never changes again.

    Raises LeaseLost, and RegisterError where it was not planned or has another id: then `id` is a surplus one.
    """
    _require_owner(state, run, Phase.CREATING)
    known = state.find(kind, name)
    if known is None:
        raise RegisterError(f"{kind} {name} was not planned in {_tell(state)}: plan it before it is created.")
    if known.id not in (None, id):
        raise RegisterError(
            f"{kind} {name} is {known.id} in {_tell(state)}; {id} is a surplus one: never use it. "
            "The drainer or the janitor removes it."
        )
    completed = replace(
        state,
        resources=tuple(replace(item, id=id) if item is known else item for item in state.resources),
    )
    return completed, completed


def forget_resource(state: SlotState, now: datetime, *, run: str, kind: str, name: str) -> Change[SlotState]:
    """The slot without a resource that the drainer saw gone. Raises LeaseLost."""
    _require_owner(state, run, Phase.TEARING_DOWN)
    kept = tuple(item for item in state.resources if (item.kind, item.name) != (kind, name))
    forgotten = replace(state, resources=kept)
    return forgotten, forgotten


def mark_ready(state: SlotState, now: datetime, *, run: str) -> Change[SlotState]:
    """The slot ready for every run; the creator becomes a user like the others.

    Raises LeaseLost, and RegisterError while a planned resource has no id.
    """
    if state.phase is Phase.READY and state.lease(run) is not None:
        return state, state
    _require_owner(state, run, Phase.CREATING)
    pending = [f"{item.kind} {item.name}" for item in state.resources if item.id is None]
    if pending:
        raise RegisterError(f"{_tell(state)} cannot be ready: {', '.join(pending)} not completed.")
    ready = replace(state, phase=Phase.READY, owner=None, unsaved=state.slot is Slot.WAREHOUSE)
    return ready, ready


def release(
    state: SlotState,
    now: datetime,
    *,
    run: str,
    lease_s: float,
    keep_alive_s: float = 0,
    end_keep_alive: bool = False,
) -> Change[Release]:
    """What the run that goes is to do (table above).

    `keep_alive_s` > 0 keeps the slot ready for so long from now, or longer if it is kept longer already;
    `end_keep_alive` ends what others left, e.g. because the cluster is broken.
    """
    if state.lease(run) is None:
        return state, Release(ReleaseOutcome.NOT_HELD, state)
    if state.owner == run:
        return _drain(state, now, run, lease_s)
    state = replace(state, leases=state.without_lease(run))
    if state.phase is Phase.READY:
        state = replace(state, keep_alive_until=_keep_alive(state, now, keep_alive_s, end_keep_alive))
    return _leave(state, now, run, lease_s)


def reap(state: SlotState, now: datetime, *, run: str, lease_s: float) -> Change[Release]:
    """What whoever looks after the slot is to do; expired leases are removed.

    `run` must be one reaper's own: two with one name would both drain.
    """
    if state.phase is Phase.EMPTY:
        return state, Release(ReleaseOutcome.NOT_HELD, state)
    if state.owner == run:
        return _drain(state, now, run, lease_s)
    live = tuple(lease for lease in state.leases if lease.until > now or lease.run == state.owner)
    return _leave(replace(state, leases=live), now, run, lease_s)


def plan_snapshot(state: SlotState, now: datetime, *, run: str, name: str) -> Change[SlotState]:
    """The warehouse with the final snapshot that the drainer is about to ask for.

    Raises LeaseLost, and RegisterError where there is nothing to save or another one is pending.
    """
    _require_owner(state, run, Phase.TEARING_DOWN)
    check(state, now, run=run, generation=state.generation)
    if not state.unsaved or state.pending_snapshot not in (None, name):
        raise RegisterError(
            f"{_tell(state)} cannot plan snapshot {name}: "
            + (f"{state.pending_snapshot} is pending." if state.unsaved else "it has no unsaved rows.")
        )
    planned = replace(state, pending_snapshot=name)
    return planned, planned


def name_snapshot(state: SlotState, now: datetime, *, run: str, name: str) -> Change[SlotState]:
    """The warehouse with the pending snapshot as its newest, which the drainer saw available.

    Raises LeaseLost, and RegisterError where it was not planned.
    """
    _require_owner(state, run, Phase.TEARING_DOWN)
    if state.snapshot == name:
        return state, state
    if state.pending_snapshot != name:
        raise RegisterError(f"{_tell(state)} awaits snapshot {state.pending_snapshot}, not {name}.")
    named = replace(state, snapshot=name, predecessor=state.snapshot, pending_snapshot=None, unsaved=False)
    return named, named


def admit_loss(state: SlotState, now: datetime, *, run: str) -> Change[SlotState]:
    """The warehouse without its unsaved rows: its drainer saw that cluster and final snapshot are gone.

    The next generation is restored from the newest snapshot. Raises LeaseLost.
    """
    _require_owner(state, run, Phase.TEARING_DOWN)
    admitted = replace(state, pending_snapshot=None, unsaved=False)
    return admitted, admitted


def mark_empty(state: SlotState, now: datetime, *, run: str) -> Change[SlotState]:
    """The slot empty: the next comer opens a generation.

    Raises LeaseLost, and RegisterError while a resource is recorded or rows are in no snapshot.
    """
    _require_owner(state, run, Phase.TEARING_DOWN)
    left = [f"{item.kind} {item.name}" for item in state.resources]
    if state.unsaved:
        left.append(f"rows that are in no snapshot (pending: {state.pending_snapshot})")
    if left:
        raise RegisterError(f"{_tell(state)} is not empty: {', '.join(left)}.")
    empty = replace(state, phase=Phase.EMPTY, owner=None, leases=(), keep_alive_until=None)
    return empty, empty


def protected_snapshots(state: SlotState) -> frozenset[str]:
    """The snapshots that nobody may prune."""
    return frozenset({state.snapshot, state.predecessor, state.pending_snapshot} - {None})  # type: ignore[arg-type]


def kept_snapshots(protected: Collection[str], available: Sequence[str], keep: int) -> frozenset[str]:
    """Which of our snapshots stay: the `protected_snapshots`, and the newest `keep` of those `available`.

    `available` are those that can be restored, oldest first.
    """
    return frozenset(protected).union(available[-keep:] if keep > 0 else ())


def is_stray(state: SlotState, generation: int, *, kind: str, id: str) -> bool:
    """Whether something that bears our name and tag belongs to no live generation, so that it may go.

    `kind` and `id` as `complete_resource` had them. List first and read the register after. What a creator or
    a drainer is at is never stray; a generation above the register's is not known, and not touched.
    """
    if generation != state.generation:
        return generation < state.generation
    if state.phase is Phase.READY:
        recorded = {item.id for item in state.resources if item.kind == kind}
        return bool(recorded) and id not in recorded
    return state.phase is Phase.EMPTY


def _leave(state: SlotState, now: datetime, run: str, lease_s: float) -> Change[Release]:
    """For one that holds nothing (any more): drain, if nobody else is there to."""
    others = state.live(now)
    if others:
        return state, Release(ReleaseOutcome.SHARED, state, others=others)
    if state.phase is Phase.READY and state.kept_alive(now):
        return state, Release(ReleaseOutcome.KEPT, state, until=state.keep_alive_until)
    return _drain(state, now, run, lease_s)


def _drain(state: SlotState, now: datetime, run: str, lease_s: float) -> Change[Release]:
    until = now + timedelta(seconds=lease_s)
    draining = replace(
        state, phase=Phase.TEARING_DOWN, owner=run, leases=(Lease(run, until),), keep_alive_until=None
    )
    return draining, Release(ReleaseOutcome.TEAR_DOWN, draining)


def _keep_alive(state: SlotState, now: datetime, keep_alive_s: float, end: bool) -> datetime | None:
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
        raise LeaseLost(
            f"{run} no longer holds {held}; now it is {_tell(state)}. "
            "Touch nothing: clear the task to take a new lease."
        )
    return lease


def _require_owner(state: SlotState, run: str, phase: Phase) -> None:
    if state.phase is not phase or state.owner != run:
        raise LeaseLost(
            f"{run} is not {phase} the {state.slot} slot (any more); now it is {_tell(state)}. "
            "Touch nothing: clear the task to take a new lease."
        )


def _tell(state: SlotState) -> str:
    by = f" by {state.owner}" if state.owner else ""
    return f"{state.slot} generation {state.generation}, {state.phase}{by}"
