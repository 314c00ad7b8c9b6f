"""What three runs and a janitor do in the world of `register_world`, step by step.

Each process is a program whose next step may come at any time, or late, or never (a crash). A step is either
one rule applied to the register (a swap is atomic) or one effect on the account; between two steps anything may
happen. Any lease may expire at any time, whatever its holder is doing. So a process that was overtaken goes on
with what it last knew, until a rule tells it that it lost its lease.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from airflow_lib.errors import LeaseLost, RegisterError
from airflow_lib.lifecycle.document import Document, Lease, LivyRecord, sort_leases
from airflow_lib.lifecycle.inventory import Standing
from airflow_lib.lifecycle.rules import AcquireOutcome, Caller, Release, ReleaseOutcome
from airflow_lib.naming import Slot
from airflow_lib.resources import emr_cluster, redshift_cluster
from airflow_lib.resources.owned import Owned
from airflow_lib.resources.snapshots import SNAPSHOT, SnapshotState
from tests.unit.airflow_lib.lifecycle.register_world import (
    EXPIRED,
    NOW,
    Cluster,
    Process,
    Snapshot,
    Violation,
    World,
    check_step,
)


class Program:
    """What runs and janitor do, by the given `rules` (see test_register_model.RULES), or by some with one broken."""

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
            before = Document("model").with_slot(world.slot)
            after = self.rules.renew(
                before, caller(process), needs=world.slot.slot, generation=process.generation
            )
            yield world._replace(slot=after.slot(world.slot.slot))

    # -- a run ---------------------------------------------------------------------------------------------

    def at_acquire(self, world: World, run: Process) -> Iterator[World]:
        slot, grant = self.rules.acquire(world.slot, caller(run))
        after = world._replace(slot=slot)
        if grant.outcome is AcquireOutcome.CREATE:
            yield _put(after, run._replace(at="find", generation=grant.generation))
        elif grant.outcome is AcquireOutcome.USE:
            yield _put(after, run._replace(at="check", generation=grant.generation))
        elif grant.outcome is AcquireOutcome.TEAR_DOWN:
            yield _put(after, run._replace(at="tear_down", generation=grant.generation, then="acquire"))
        else:
            yield after
            yield from _failing(after, run)

    def at_find(self, world: World, run: Process) -> Iterator[World]:
        """Adopt what is recorded, or a cluster of this generation that is there already."""
        if world.slot.cluster_id is not None and world.slot.generation == run.generation:
            yield _put(world, run._replace(at="contact", id=world.slot.cluster_id))
            return
        found = sorted(cluster.id for cluster in world.clusters if cluster.generation == run.generation)
        if found:
            yield _put(world, run._replace(at=self._after_create(world), id=found[0]))
        else:
            yield _put(world, run._replace(at="request"))
        yield from _failing(world, run)

    def at_request(self, world: World, run: Process) -> Iterator[World]:
        """The last look at the register before a cluster is created."""
        if world.slot.slot is Slot.EMR:
            slot, _ = self.rules.record_request(
                world.slot, caller(run), generation=run.generation, last=world.slot.requested_at
            )
        else:
            slot, _ = self.rules.check_creating(world.slot, caller(run), generation=run.generation)
        yield _put(world._replace(slot=slot), run._replace(at="create", id=world.slot.snapshot or ""))

    def at_create(self, world: World, run: Process) -> Iterator[World]:
        """A warehouse's name is unique, so the first one is adopted; EMR creates another, however late."""
        there = sorted(cluster.id for cluster in world.clusters if cluster.generation == run.generation)
        if there and world.slot.slot is Slot.WAREHOUSE:
            yield _put(world, run._replace(at="mark", id=there[0]))
            return
        restored = world.snapshot(run.id)
        if run.id and restored is None:
            raise Violation(f"snapshot {run.id} is to be restored, and is gone")
        rows = restored.rows if restored else frozenset()
        made = Cluster(run.generation, f"{_name(run)}{'abc'[len(there)]}", rows)
        after = run._replace(at=self._after_create(world), id=made.id)
        yield _put(world._replace(clusters=world.clusters | {made}), after)

    def at_record(self, world: World, run: Process) -> Iterator[World]:
        try:
            slot, _ = self.rules.record_cluster(
                world.slot, caller(run), generation=run.generation, cluster_id=run.id
            )
        except LeaseLost:
            raise
        except RegisterError:  # a duplicate: never used
            yield _put(world, Process(run.name, "release"))
            return
        yield _put(world._replace(slot=slot), run._replace(at="contact"))
        yield from _failing(world, run)

    def at_contact(self, world: World, run: Process) -> Iterator[World]:
        """First contact with the cluster's Livy, whose certificate is as unique as the cluster."""
        seen = LivyRecord("https", hashlib.sha256(run.id.encode()).hexdigest())
        slot, _ = self.rules.record_livy(world.slot, caller(run), generation=run.generation, livy=seen)
        yield _put(world._replace(slot=slot), run._replace(at="mark"))

    def at_mark(self, world: World, run: Process) -> Iterator[World]:
        slot, _ = self.rules.mark_ready(world.slot, caller(run), generation=run.generation)
        yield _put(world._replace(slot=slot), run._replace(at="check", id=""))

    def at_check(self, world: World, run: Process) -> Iterator[World]:
        slot, _ = self.rules.check(world.slot, caller(run), generation=run.generation)
        after = world._replace(slot=slot)
        yield _put(after, run._replace(at="use", id=after.current() or ""))

    def _after_create(self, world: World) -> str:
        return "record" if world.slot.slot is Slot.EMR else "mark"

    def at_use(self, world: World, run: Process) -> Iterator[World]:
        """Commit this run's rows into the cluster, if it is still there."""
        cluster = world.cluster(run.id)
        if cluster is None:
            yield _put(world, Process(run.name, "release"))
            return
        loaded = cluster._replace(rows=cluster.rows | _rows_of(world, run))
        clusters = world.clusters - {cluster} | {loaded}
        yield _put(world._replace(clusters=clusters), Process(run.name, "release", loaded=True))

    def at_release(self, world: World, run: Process) -> Iterator[World]:
        under_way = [other.name for other in world.runs if other.at != "done" and other is not run]
        before = Document("model").with_slot(world.slot)
        renewed = self.rules.renew_for(before, caller(run), runs=under_way).slot(world.slot.slot)
        if renewed != world.slot:
            yield world._replace(slot=renewed)
        for keep_alive_s in (0, 1) if world.budget.keep_alives else (0,):
            slot, answer = self.rules.release(world.slot, caller(run), keep_alive_s=keep_alive_s)
            held = run.loaded and answer.outcome is not ReleaseOutcome.NOT_HELD
            after = world._replace(
                slot=slot,
                green=world.green | (_rows_of(world, run) if held else frozenset()),
                budget=world.budget._replace(keep_alives=world.budget.keep_alives - keep_alive_s),
            )
            if answer.outcome is ReleaseOutcome.NOT_HELD:
                yield _put(after, Process(run.name, "take_over"))
            else:
                yield _put(after, _released(run, answer))

    def at_take_over(self, world: World, process: Process) -> Iterator[World]:
        """A run without a lease takes away what a dead one left; the janitor does so first of all."""
        slot, answer = self.rules.take_over(world.slot, caller(process))
        after = world._replace(slot=slot)
        if not process.name.startswith("janitor"):
            yield _put(after, _released(process, answer))
        elif answer.outcome is ReleaseOutcome.TEAR_DOWN:
            yield _put(after, process._replace(at="tear_down", generation=answer.generation, then="list"))
        else:
            yield _put(after, process._replace(at="list"))

    # -- tearing down, by a run or the janitor -----------------------------------------------------------------

    def at_tear_down(self, world: World, owner: Process) -> Iterator[World]:
        _, state = self.rules.check_tearing_down(world.slot, caller(owner), generation=owner.generation)
        if state.unsaved and state.pending_snapshot is None:
            yield _put(world, owner._replace(at="snapshot"))
        else:
            yield _put(world, owner._replace(at="delete", id=state.pending_snapshot or ""))

    def at_snapshot(self, world: World, owner: Process) -> Iterator[World]:
        slot, _ = self.rules.plan_snapshot(
            world.slot, caller(owner), generation=owner.generation, name=f"s{owner.generation}"
        )
        yield _put(world._replace(slot=slot), owner._replace(at="tear_down"))

    def at_delete(self, world: World, owner: Process) -> Iterator[World]:
        """Delete the generation's clusters, the warehouse with its final snapshot; absent is success.

        Where that snapshot is there already, the cluster is one that a late creator created since: no rows in it.
        """
        gone = frozenset(item for item in world.clusters if item.generation == owner.generation)
        wanted = owner.id and world.snapshot(owner.id) is None
        taken = frozenset(Snapshot(owner.id, item.rows) for item in gone if wanted)
        after = world._replace(clusters=world.clusters - gone, snapshots=world.snapshots | taken)
        yield _put(after, owner._replace(at="save" if owner.id else "empty"))

    def at_save(self, world: World, owner: Process) -> Iterator[World]:
        slot, _ = self.rules.record_snapshot(
            world.slot, caller(owner), generation=owner.generation, name=owner.id
        )
        if world.snapshot(owner.id) is None:
            raise Violation(f"snapshot {owner.id} was never taken")
        yield _put(world._replace(slot=slot), owner._replace(at="empty", id=""))

    def at_empty(self, world: World, owner: Process) -> Iterator[World]:
        slot, _ = self.rules.mark_empty(world.slot, caller(owner), generation=owner.generation)
        yield _put(world._replace(slot=slot), Process(owner.name, owner.then))

    # -- the janitor -------------------------------------------------------------------------------------------

    def at_list(self, world: World, janitor: Process) -> Iterator[World]:
        """Judge one thing that bears our tags; the account was listed before the register was read."""
        kind = emr_cluster.CLUSTER if world.slot.slot is Slot.EMR else redshift_cluster.CLUSTER
        for cluster in world.clusters:
            item = Owned(kind, cluster.id, f"g{cluster.generation}")
            standing = self.rules.standing_of(item, world.slot, cluster.generation, NOW)
            if standing in (Standing.ORPHAN, Standing.DUPLICATE):
                yield _put(world, janitor._replace(at="remove", id=cluster.id))
        owned = [
            Owned(SNAPSHOT, one.name, one.name, state=SnapshotState.AVAILABLE) for one in world.snapshots
        ]
        kept = self.rules.kept_snapshots(owned, self.rules.protected_snapshots(world.slot), 0)
        for item in owned:
            if item.name not in kept:
                yield _put(world, janitor._replace(at="remove", id=item.name))
        yield _put(world, Process(janitor.name, "take_over"))

    def at_remove(self, world: World, janitor: Process) -> Iterator[World]:
        after = world._replace(
            clusters=frozenset(item for item in world.clusters if item.id != janitor.id),
            snapshots=frozenset(item for item in world.snapshots if item.name != janitor.id),
        )
        yield _put(after, Process(janitor.name, "take_over"))


def caller(process: Process) -> Caller:
    """The process as the rules see it; its leases last until LIVE."""
    return Caller(process.name, NOW, lease_s=1)


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
    return world._replace(slot=slot, runs=dead, janitor=Process("janitor9", "take_over"))


def _one_pass(program: Program, world: World) -> World:
    """From one `take_over` to the next, removing the first thing that may go."""
    while True:
        world = next(program.step(world, world.janitor))
        if world.janitor.at == "take_over":
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
        yield _put(world._replace(budget=budget), Process(run.name, "release"))


def _lost(process: Process) -> Process:
    """Touch nothing: a run goes to its release, who tears down ends, the janitor begins again."""
    if process.name.startswith("janitor"):
        return Process(process.name, "take_over")
    if process.at == "release" or process.then:
        return Process(process.name, process.then or "done")
    return Process(process.name, "release")


def _crashed(process: Process) -> Process:
    """A dead run takes no further step; the next janitor has a name of its own."""
    if process.name.startswith("janitor"):
        return Process(f"janitor{int(process.name[-1]) + 1}", "take_over")
    return Process(process.name, "done")


def _released(run: Process, answer: Release) -> Process:
    """The run after its release: it tears down, or is done."""
    if answer.outcome is ReleaseOutcome.TEAR_DOWN:
        return Process(run.name, "tear_down", answer.generation, then="done")
    return Process(run.name, "done", then="done")


def _put(world: World, process: Process) -> World:
    if process.name.startswith("janitor"):
        return world._replace(janitor=process)
    return world._replace(runs=tuple(process if run.name == process.name else run for run in world.runs))


def _name(process: Process) -> str:
    return f"g{process.generation}"


def _rows_of(world: World, run: Process) -> frozenset[str]:
    return frozenset({run.name}) if world.slot.slot is Slot.WAREHOUSE else frozenset()
