"""What three runs and a janitor do in the world of `register_world`, step by step.

Each process is a program whose next step may come at any time, or late, or never (a crash). A step is either
one rule applied to the register (a swap is atomic) or one effect on the account; between two steps anything may
happen. Any lease may expire at any time, whatever its holder is doing. So a process that was overtaken goes on
with what it last knew, until a rule tells it that it lost its lease.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from airflow_lib.errors import LeaseLost, RegisterError
from airflow_lib.lifecycle.document import Lease, sort_leases
from airflow_lib.lifecycle.rules import AcquireOutcome, Release, ReleaseOutcome
from airflow_lib.naming import Slot
from tests.unit.airflow_lib.lifecycle.register_world import (
    EXPIRED,
    KIND,
    NOW,
    Cluster,
    Process,
    Snapshot,
    Violation,
    World,
    check_step,
)


class Program:
    """What runs and janitor do, by the given `rules` (the module, or one with a rule broken)."""

    def __init__(self, rules: Any) -> None:
        self.rules = rules

    def successors(self, world: World) -> Iterator[World]:
        """Every world that may come next."""
        for process in (*world.runs, world.janitor):
            if process.at == "done":
                continue
            for after in self.step(world, process):
                check_step(world, after, process)
                yield after
            yield from self.renewal(world, process)
            if world.budget.crashes:
                budget = world.budget._replace(crashes=world.budget.crashes - 1)
                yield _put(world._replace(budget=budget), _crashed(process))
        yield from _expiries(world)

    def step(self, world: World, process: Process) -> Iterator[World]:
        try:
            yield from getattr(self, "at_" + process.at)(world, process)
        except LeaseLost:
            yield _put(world, _lost(process))

    def renewal(self, world: World, process: Process) -> Iterator[World]:
        """Whoever is at something may renew its lease; that changes the register once it has expired."""
        lease = world.slot.lease(process.name)
        if not process.generation or (lease and lease.until > NOW):
            return
        with suppress(LeaseLost):
            slot, _ = self.rules.renew(
                world.slot, NOW, run=process.name, generation=process.generation, lease_s=1
            )
            yield world._replace(slot=slot)

    # -- a run ---------------------------------------------------------------------------------------------

    def at_come(self, world: World, run: Process) -> Iterator[World]:
        slot, grant = self.rules.acquire(world.slot, NOW, run=run.name, lease_s=1)
        after = world._replace(slot=slot)
        if grant.outcome is AcquireOutcome.CREATE:
            yield _put(after, run._replace(at="plan", generation=grant.generation))
        elif grant.outcome is AcquireOutcome.USE:
            yield _put(after, run._replace(at="check", generation=grant.generation))
        elif grant.outcome is AcquireOutcome.TEAR_DOWN:
            yield _put(after, run._replace(at="drain", generation=grant.generation, then="come"))
        else:
            yield after
            yield from _failing(after, run)

    def at_plan(self, world: World, run: Process) -> Iterator[World]:
        slot, _ = self.rules.plan_resource(world.slot, NOW, run=run.name, kind=KIND, name=_name(run))
        known = slot.find(KIND, _name(run)).id
        yield _put(world._replace(slot=slot), run._replace(at="mark" if known else "look", id=known or ""))
        yield from _failing(world, run)

    def at_look(self, world: World, run: Process) -> Iterator[World]:
        """Adopt a cluster of this generation that is there already."""
        found = sorted(cluster.id for cluster in world.clusters if cluster.generation == run.generation)
        if found:
            yield _put(world, run._replace(at="complete", id=found[0]))
        else:
            yield _put(world, run._replace(at="make", id=world.slot.snapshot or ""))

    def at_make(self, world: World, run: Process) -> Iterator[World]:
        """A warehouse's name is unique, so the first one is adopted; EMR makes another, however late."""
        there = sorted(cluster.id for cluster in world.clusters if cluster.generation == run.generation)
        if there and world.slot.slot is Slot.WAREHOUSE:
            yield _put(world, run._replace(at="complete", id=there[0]))
            return
        restored = world.snapshot(run.id)
        if run.id and restored is None:
            raise Violation(f"snapshot {run.id} is to be restored, and is gone")
        rows = restored.rows if restored else frozenset()
        made = Cluster(run.generation, f"{_name(run)}{'abc'[len(there)]}", rows)
        yield _put(world._replace(clusters=world.clusters | {made}), run._replace(at="complete", id=made.id))

    def at_complete(self, world: World, run: Process) -> Iterator[World]:
        try:
            slot, _ = self.rules.complete_resource(
                world.slot, NOW, run=run.name, kind=KIND, name=_name(run), id=run.id
            )
        except LeaseLost:
            raise
        except RegisterError:  # a surplus cluster: never used
            yield _put(world, Process(run.name, "go"))
            return
        yield _put(world._replace(slot=slot), run._replace(at="mark"))
        yield from _failing(world, run)

    def at_mark(self, world: World, run: Process) -> Iterator[World]:
        slot, _ = self.rules.mark_ready(world.slot, NOW, run=run.name)
        yield _put(world._replace(slot=slot), run._replace(at="check", id=""))

    def at_check(self, world: World, run: Process) -> Iterator[World]:
        slot, state = self.rules.check(world.slot, NOW, run=run.name, generation=run.generation)
        yield _put(world._replace(slot=slot), run._replace(at="use", id=state.find(KIND).id))

    def at_use(self, world: World, run: Process) -> Iterator[World]:
        """Commit this run's rows into the cluster, if it is still there."""
        cluster = world.cluster(run.id)
        if cluster is None:
            yield _put(world, Process(run.name, "go"))
            return
        loaded = cluster._replace(rows=cluster.rows | _rows_of(world, run))
        clusters = world.clusters - {cluster} | {loaded}
        yield _put(world._replace(clusters=clusters), Process(run.name, "go", loaded=True))

    def at_go(self, world: World, run: Process) -> Iterator[World]:
        for keep_alive_s in (0, 1) if world.budget.keep_alives else (0,):
            slot, answer = self.rules.release(
                world.slot, NOW, run=run.name, lease_s=1, keep_alive_s=keep_alive_s
            )
            held = run.loaded and answer.outcome is not ReleaseOutcome.NOT_HELD
            after = world._replace(
                slot=slot,
                green=world.green | (_rows_of(world, run) if held else frozenset()),
                budget=world.budget._replace(keep_alives=world.budget.keep_alives - keep_alive_s),
            )
            if answer.outcome is ReleaseOutcome.NOT_HELD:
                yield _put(after, Process(run.name, "tidy"))
            else:
                yield _put(after, _parted(run, answer))

    def at_tidy(self, world: World, run: Process) -> Iterator[World]:
        """A run without a lease takes away what a dead one left."""
        slot, answer = self.rules.reap(world.slot, NOW, run=run.name, lease_s=1)
        yield _put(world._replace(slot=slot), _parted(run, answer))

    # -- draining, by a run or the janitor -------------------------------------------------------------------

    def at_drain(self, world: World, drainer: Process) -> Iterator[World]:
        _, state = self.rules.check_draining(world.slot, NOW, run=drainer.name, generation=drainer.generation)
        if state.unsaved and state.pending_snapshot is None:
            yield _put(world, drainer._replace(at="snapshot"))
        else:
            yield _put(world, drainer._replace(at="delete", id=state.pending_snapshot or ""))

    def at_snapshot(self, world: World, drainer: Process) -> Iterator[World]:
        slot, _ = self.rules.plan_snapshot(world.slot, NOW, run=drainer.name, name=f"s{drainer.generation}")
        yield _put(world._replace(slot=slot), drainer._replace(at="drain"))

    def at_delete(self, world: World, drainer: Process) -> Iterator[World]:
        """Delete the generation's clusters, the warehouse with its final snapshot; absent is success.

        Where that snapshot is there already, the cluster is one that a late creator made since: no rows in it.
        """
        gone = frozenset(item for item in world.clusters if item.generation == drainer.generation)
        wanted = drainer.id and world.snapshot(drainer.id) is None
        taken = frozenset(Snapshot(drainer.id, item.rows) for item in gone if wanted)
        after = world._replace(clusters=world.clusters - gone, snapshots=world.snapshots | taken)
        yield _put(after, drainer._replace(at="name" if drainer.id else "forget"))

    def at_name(self, world: World, drainer: Process) -> Iterator[World]:
        slot, _ = self.rules.name_snapshot(world.slot, NOW, run=drainer.name, name=drainer.id)
        if world.snapshot(drainer.id) is None:
            raise Violation(f"snapshot {drainer.id} was never taken")
        yield _put(world._replace(slot=slot), drainer._replace(at="forget", id=""))

    def at_forget(self, world: World, drainer: Process) -> Iterator[World]:
        slot = world.slot
        for item in slot.resources:
            slot, _ = self.rules.forget_resource(slot, NOW, run=drainer.name, kind=item.kind, name=item.name)
        yield _put(world._replace(slot=slot), drainer._replace(at="empty"))

    def at_empty(self, world: World, drainer: Process) -> Iterator[World]:
        slot, _ = self.rules.mark_empty(world.slot, NOW, run=drainer.name)
        yield _put(world._replace(slot=slot), Process(drainer.name, drainer.then))

    # -- the janitor -------------------------------------------------------------------------------------------

    def at_reap(self, world: World, janitor: Process) -> Iterator[World]:
        slot, answer = self.rules.reap(world.slot, NOW, run=janitor.name, lease_s=1)
        after = world._replace(slot=slot)
        if answer.outcome is ReleaseOutcome.TEAR_DOWN:
            yield _put(after, janitor._replace(at="drain", generation=answer.generation, then="list"))
        else:
            yield _put(after, janitor._replace(at="list"))

    def at_list(self, world: World, janitor: Process) -> Iterator[World]:
        """Judge one thing that bears our tags; the account was listed before the register was read."""
        for cluster in world.clusters:
            if self.rules.is_stray(world.slot, cluster.generation, kind=KIND, id=cluster.id):
                yield _put(world, janitor._replace(at="sweep", id=cluster.id))
        names = [snapshot.name for snapshot in world.snapshots]
        kept = self.rules.kept_snapshots(self.rules.protected_snapshots(world.slot), names, 0)
        for name in names:
            if name not in kept:
                yield _put(world, janitor._replace(at="sweep", id=name))
        yield _put(world, Process(janitor.name, "reap"))

    def at_sweep(self, world: World, janitor: Process) -> Iterator[World]:
        after = world._replace(
            clusters=frozenset(item for item in world.clusters if item.id != janitor.id),
            snapshots=frozenset(item for item in world.snapshots if item.name != janitor.id),
        )
        yield _put(after, Process(janitor.name, "reap"))


def tidy_up(program: Program, world: World) -> World:
    """The world after everybody died, every lease expired, and the janitor passed until nothing changed."""
    world = _everything_expired(world)
    for _ in range(60):
        before = world
        world = _one_pass(program, world)
        if world == before:
            return world
    raise Violation("the janitor does not come to an end")


def _everything_expired(world: World) -> World:
    dead = tuple(Process(run.name, "done") for run in world.runs)
    leases = tuple(Lease(lease.run, EXPIRED) for lease in world.slot.leases)
    slot = replace(world.slot, leases=leases, keep_alive_until=None)
    return world._replace(slot=slot, runs=dead, janitor=Process("janitor9", "reap"))


def _one_pass(program: Program, world: World) -> World:
    """From one `reap` to the next, sweeping the first thing that may go."""
    while True:
        world = next(program.step(world, world.janitor))
        if world.janitor.at == "reap":
            return world


def _expiries(world: World) -> Iterator[World]:
    """Time passes: a lease, or the keep-alive, expires. The living hold only so many leases too short."""
    slot = world.slot
    working = {run.name for run in world.runs if run.at != "done"} | {world.janitor.name}
    for lease in slot.leases:
        alive = lease.run in working
        if lease.until <= NOW or (alive and not world.budget.expiries):
            continue
        leases = sort_leases([*slot.without_lease(lease.run), Lease(lease.run, EXPIRED)])
        budget = world.budget._replace(expiries=world.budget.expiries - alive)
        yield world._replace(slot=replace(slot, leases=leases), budget=budget)
    if slot.keep_alive_until is not None:
        yield world._replace(slot=replace(slot, keep_alive_until=None))


def _failing(world: World, run: Process) -> Iterator[World]:
    """The run gives up: what it creates is broken, or it waited too long."""
    if world.budget.failures:
        budget = world.budget._replace(failures=world.budget.failures - 1)
        yield _put(world._replace(budget=budget), Process(run.name, "go"))


def _lost(process: Process) -> Process:
    """Touch nothing: a run goes to its release, a drainer ends, the janitor begins again."""
    if process.name.startswith("janitor"):
        return Process(process.name, "reap")
    if process.at == "go" or process.then:
        return Process(process.name, process.then or "done")
    return Process(process.name, "go")


def _crashed(process: Process) -> Process:
    """A dead run takes no further step; the next janitor has a name of its own."""
    if process.name.startswith("janitor"):
        return Process(f"janitor{int(process.name[-1]) + 1}", "reap")
    return Process(process.name, "done")


def _parted(run: Process, answer: Release) -> Process:
    """The run after it let go: it drains, or is done."""
    if answer.outcome is ReleaseOutcome.TEAR_DOWN:
        return Process(run.name, "drain", answer.generation, then="done")
    return Process(run.name, "done", then="done")


def _put(world: World, process: Process) -> World:
    if process.name.startswith("janitor"):
        return world._replace(janitor=process)
    return world._replace(runs=tuple(process if run.name == process.name else run for run in world.runs))


def _name(process: Process) -> str:
    return f"g{process.generation}"


def _rows_of(world: World, run: Process) -> frozenset[str]:
    return frozenset({run.name}) if world.slot.slot is Slot.WAREHOUSE else frozenset()
