"""A small world for the register's rules to be tried in: its states, and what must hold in each.

What happens in it is `register_program`'s. States that differ only in which run is which are one state.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from airflow_lib.lifecycle.document import Lease, Phase, SlotState, sort_leases
from airflow_lib.naming import Slot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIVE = NOW + timedelta(seconds=1)
EXPIRED = NOW - timedelta(seconds=1)
RUNS = ("run1", "run2", "run3")


class Violation(AssertionError):
    """The rules allowed what must never be."""


class Cluster(NamedTuple):
    generation: int
    id: str
    rows: frozenset[str]


class Snapshot(NamedTuple):
    name: str
    rows: frozenset[str]


class Process(NamedTuple):
    """`at` is the next step; the rest is what the process remembers."""

    name: str
    at: str
    generation: int = 0
    id: str = ""  # of the cluster, or of the snapshot, that the next step is about
    loaded: bool = False
    then: str = ""  # where a teardown leads


class Budget(NamedTuple):
    """How often each misfortune may still happen."""

    crashes: int = 0
    expiries: int = 0
    failures: int = 0
    keep_alives: int = 0


class World(NamedTuple):
    slot: SlotState
    runs: tuple[Process, ...]
    janitor: Process
    budget: Budget
    clusters: frozenset[Cluster] = frozenset()
    snapshots: frozenset[Snapshot] = frozenset()
    green: frozenset[str] = frozenset()  # the runs whose rows must never be lost

    def current(self) -> str | None:
        """The cluster of the slot's generation: EMR's by its recorded id, a warehouse by its name."""
        if self.slot.slot is Slot.EMR:
            return self.slot.cluster_id
        ids = [cluster.id for cluster in self.clusters if cluster.generation == self.slot.generation]
        return ids[0] if ids else None

    def cluster(self, id: str | None) -> Cluster | None:
        return next((cluster for cluster in self.clusters if cluster.id == id), None)

    def snapshot(self, name: str | None) -> Snapshot | None:
        return next((snapshot for snapshot in self.snapshots if snapshot.name == name), None)


def begin(slot: Slot, budget: Budget) -> World:
    runs = tuple(Process(name, "acquire") for name in RUNS)
    return World(SlotState(slot), runs, Process("janitor0", "take_over"), budget)


def check_invariants(world: World) -> None:
    """Raise Violation where the account and the register are as they must never be."""
    slot = world.slot
    if slot.phase is Phase.READY and world.cluster(world.current()) is None:
        raise Violation("the cluster of a ready slot was deleted")
    for run in world.runs:
        usable = (
            slot.phase is Phase.READY and slot.generation == run.generation and run.name in slot.live(NOW)
        )
        if run.at == "use" and usable and run.id != world.current():
            raise Violation(f"{run.name} uses {run.id}, the register says {world.current()}")
    for name in (slot.snapshot, slot.predecessor):
        if name is not None and world.snapshot(name) is None:
            raise Violation(f"snapshot {name}, which the register names, is gone")
    newest = world.snapshot(slot.snapshot)
    saved = newest.rows if newest else frozenset()
    if not slot.unsaved:
        _require_rows(world, saved, "the newest snapshot")
        return
    cluster, pending = world.cluster(world.current()), world.snapshot(slot.pending_snapshot)
    if cluster is None and pending is None:
        raise Violation("the warehouse went without a snapshot")
    holder = pending or cluster
    _require_rows(world, holder.rows, "the warehouse")
    if not saved <= holder.rows:
        raise Violation("the warehouse was not restored from the newest snapshot")


def check_step(before: World, after: World, actor: Process) -> None:
    """Raise Violation where a step takes from others what their live leases hold."""
    slot = before.slot
    if after.slot == slot:
        return
    holders = {slot.owner} if slot.owner else set(slot.live(NOW))
    for run in holders - {actor.name}:
        if run not in slot.live(NOW):
            continue
        kept = run in after.slot.live(NOW) and after.slot.generation == slot.generation
        if not kept or after.slot.phase is not slot.phase:
            raise Violation(f"{actor.name} at {actor.at} took the {slot.phase} slot from {run}")


def format_world(world: World) -> str:
    """One line, for the way to a violation."""
    slot = world.slot
    leases = ", ".join(f"{lease.run}{'' if lease.until > NOW else ' expired'}" for lease in slot.leases)
    processes = ", ".join(
        f"{process.name} {process.at} g{process.generation} {process.id}".rstrip()
        for process in (*world.runs, world.janitor)
    )
    return (
        f"g{slot.generation} {slot.phase} by {slot.owner} [{leases}] current {world.current()}, "
        f"snapshots {slot.predecessor} {slot.snapshot} ({slot.pending_snapshot}) | {processes} | "
        f"{[(item.id, *sorted(item.rows)) for item in world.clusters]} "
        f"{[(item.name, *sorted(item.rows)) for item in world.snapshots]} green {sorted(world.green)}"
    )


def canonical(world: World) -> World:
    """The same world for all that differ only in which run is which."""
    slot = world.slot
    order = sorted(world.runs, key=lambda run: _signature(world, run))
    if [run.name for run in order] == list(RUNS):
        return world
    new = {run.name: name for run, name in zip(order, RUNS, strict=True)}

    def rename(rows: frozenset[str]) -> frozenset[str]:
        return frozenset(new[row] for row in rows)

    leases = sort_leases(Lease(new.get(lease.run, lease.run), lease.until) for lease in slot.leases)
    owner = new.get(slot.owner, slot.owner) if slot.owner else None
    return world._replace(
        slot=replace(slot, owner=owner, leases=leases),
        runs=tuple(run._replace(name=new[run.name]) for run in order),
        clusters=frozenset(item._replace(rows=rename(item.rows)) for item in world.clusters),
        snapshots=frozenset(item._replace(rows=rename(item.rows)) for item in world.snapshots),
        green=rename(world.green),
    )


def _signature(world: World, run: Process) -> tuple[Any, ...]:
    lease = world.slot.lease(run.name)
    return (
        run[1:],
        (lease.until > NOW) if lease else -1,
        world.slot.owner == run.name,
        run.name in world.green,
        sorted(item.id for item in world.clusters if run.name in item.rows),
        sorted(item.name for item in world.snapshots if run.name in item.rows),
    )


def _require_rows(world: World, rows: frozenset[str], where: str) -> None:
    if not world.green <= rows:
        raise Violation(f"{where} lacks the rows of {sorted(world.green - rows)}")
