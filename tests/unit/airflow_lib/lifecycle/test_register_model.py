"""Every interleaving of three runs and a janitor, breadth first: the register's rules hold in each state.

In each: at most one cluster is used, the cluster of a ready slot exists, the snapshots that the register names
exist, the rows of every run that ended green are in the warehouse or its newest snapshot, and the janitor alone
would leave nothing. The world is `register_world`'s, what happens in it `register_program`'s.
MAYFLY_MODEL=full explores more misfortunes at once (580,000 states, two minutes).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib.errors import RegisterError
from airflow_lib.lifecycle import rules as register_rules
from airflow_lib.lifecycle.document import Phase
from airflow_lib.naming import Slot
from tests.unit.airflow_lib.lifecycle.register_program import Program, tidy_up
from tests.unit.airflow_lib.lifecycle.register_world import (
    Budget,
    Violation,
    World,
    begin,
    canonical,
    check_invariants,
    tell_world,
)

QUICK = [
    (Slot.EMR, Budget(crashes=1, failures=1, keep_alives=1)),
    (Slot.EMR, Budget(expiries=1)),
    (Slot.WAREHOUSE, Budget(crashes=1, failures=1, keep_alives=1)),
    (Slot.WAREHOUSE, Budget(crashes=1, expiries=1)),
]
FULL = [(slot, Budget(crashes=1, expiries=1, failures=1, keep_alives=1)) for slot in Slot]


def explore(slot: Slot, budget: Budget, rules: Any = register_rules) -> set[World]:
    """Every state that can be reached. Raises Violation, with the way there, at the first that must not be."""
    program = Program(rules)
    first = begin(slot, budget)
    came_from: dict[World, World | None] = {first: None}
    queue, tidied = deque([first]), set()
    while queue:
        world = queue.popleft()
        try:
            check_invariants(world)
            expect_tidy(program, world, tidied)
            following = {canonical(after) for after in program.successors(world)}
        except (Violation, RegisterError, ValueError) as violation:
            raise Violation(f"{violation}\n{tell_way(came_from, world)}") from violation
        for after in following:
            if after not in came_from:
                came_from[after] = world
                queue.append(after)
    return set(came_from)


def expect_tidy(program: Program, world: World, tidied: set[Any]) -> None:
    """Raise Violation where the janitor alone would leave something, or lose rows."""
    key = (world.slot, world.clusters, world.snapshots)
    if key in tidied:
        return
    tidied.add(key)
    end = tidy_up(program, world)
    check_invariants(end)
    if end.slot.phase is not Phase.EMPTY or end.clusters:
        raise Violation(f"the janitor alone leaves {end.slot} and {end.clusters}")


def tell_way(came_from: dict[World, World | None], world: World | None) -> str:
    way = []
    while world is not None:
        way.append(tell_world(world))
        world = came_from[world]
    return "\n".join(reversed(way))


@pytest.mark.parametrize(
    ("slot", "budget"), QUICK + (FULL if os.environ.get("MAYFLY_MODEL") == "full" else [])
)
def test_the_rules_hold_in_every_interleaving(slot: Slot, budget: Budget) -> None:
    worlds = explore(slot, budget)
    states = f"{slot}, {budget}: {len(worlds)} states"
    print(states)
    phases = {world.slot.phase for world in worlds}
    generations = max(world.slot.generation for world in worlds)
    green = max(len(world.green) for world in worlds)
    assert phases == set(Phase), states
    assert generations >= 3, states
    assert green == (3 if slot is Slot.WAREHOUSE else 0), states


def test_a_surplus_cluster_is_reached_and_goes() -> None:
    worlds = explore(Slot.EMR, Budget(expiries=1))
    surplus = sum(1 for world in worlds if len(world.clusters) > 1)
    assert surplus > 0, f"{len(worlds)} states"


def rules_with(**broken: Callable[..., Any]) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(register_rules), **broken})


def everybody_drains(state: Any, now: Any, *, run: str, lease_s: float, **_: Any) -> Any:
    if state.lease(run) is None:
        return register_rules.release(state, now, run=run, lease_s=lease_s)
    return register_rules._drain(state, now, run, lease_s)


def nobody_drains(state: Any, now: Any, *, run: str, lease_s: float, **_: Any) -> Any:
    left = replace(state, leases=state.without_lease(run)) if state.owner != run else state
    return left, register_rules.Release(register_rules.ReleaseOutcome.SHARED, left)


def reap_the_living(state: Any, now: Any, *, run: str, lease_s: float) -> Any:
    if state.phase is Phase.EMPTY:
        return register_rules.reap(state, now, run=run, lease_s=lease_s)
    return register_rules._drain(state, now, run, lease_s)


def reap_nothing(state: Any, now: Any, *, run: str, lease_s: float) -> Any:
    return state, register_rules.Release(register_rules.ReleaseOutcome.SHARED, state)


def acquire_what_drains(state: Any, now: Any, *, run: str, lease_s: float) -> Any:
    if state.phase is Phase.TEARING_DOWN and state.owner != run:
        state = replace(state, phase=Phase.READY, owner=None)
    return register_rules.acquire(state, now, run=run, lease_s=lease_s)


def acquire_the_same_generation(state: Any, now: Any, *, run: str, lease_s: float) -> Any:
    if state.phase is Phase.EMPTY and state.generation:
        state = replace(state, generation=state.generation - 1)
    return register_rules.acquire(state, now, run=run, lease_s=lease_s)


def acquire_without_the_snapshot(state: Any, now: Any, *, run: str, lease_s: float) -> Any:
    if state.phase is Phase.EMPTY:
        state = replace(state, snapshot=None)
    return register_rules.acquire(state, now, run=run, lease_s=lease_s)


def acquire_from_the_living(state: Any, now: Any, *, run: str, lease_s: float) -> Any:
    return register_rules.acquire(state, now + timedelta(days=1), run=run, lease_s=lease_s)


def release_without_a_lease(state: Any, now: Any, *, run: str, lease_s: float, **rest: Any) -> Any:
    if state.phase is not Phase.EMPTY and state.lease(run) is None:
        return register_rules._drain(state, now, run, lease_s)
    return register_rules.release(state, now, run=run, lease_s=lease_s, **rest)


def anybody(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule, when it takes whoever calls it for the owner."""

    def broken(state: Any, now: Any, *, run: str, **rest: Any) -> Any:
        if state.owner is None:
            return state, state
        return rule(state, now, run=state.owner, **rest)

    broken.__name__ = f"anybody_may_{rule.__name__}"
    return broken


def name_at_once(state: Any, now: Any, *, run: str, name: str) -> Any:
    state, _ = register_rules.plan_snapshot(state, now, run=run, name=name)
    return register_rules.name_snapshot(state, now, run=run, name=name)


def mark_ready_as_if_saved(state: Any, now: Any, *, run: str) -> Any:
    state, _ = register_rules.mark_ready(state, now, run=run)
    state = replace(state, unsaved=False)
    return state, state


def prune_all(protected: Any, available: Any, keep: int) -> Any:
    return register_rules.kept_snapshots((), available, keep)


def prune_what_is_pending(state: Any) -> Any:
    return register_rules.protected_snapshots(replace(state, pending_snapshot=None))


def everything_is_stray(state: Any, generation: int, *, kind: str, id: str) -> bool:
    return True


def nothing_is_stray(state: Any, generation: int, *, kind: str, id: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("slot", "broken"),
    [
        (Slot.EMR, {"release": everybody_drains}),
        (Slot.EMR, {"reap": reap_the_living}),
        (Slot.EMR, {"reap": reap_nothing}),
        (Slot.EMR, {"acquire": acquire_what_drains}),
        (Slot.EMR, {"acquire": acquire_the_same_generation}),
        (Slot.EMR, {"is_stray": everything_is_stray}),
        (Slot.EMR, {"is_stray": nothing_is_stray}),
        (Slot.EMR, {"acquire": acquire_from_the_living}),
        (Slot.EMR, {"release": release_without_a_lease}),
        (Slot.EMR, {"mark_ready": anybody(register_rules.mark_ready)}),
        (Slot.EMR, {"mark_empty": anybody(register_rules.mark_empty)}),
        (Slot.WAREHOUSE, {"plan_snapshot": anybody(register_rules.plan_snapshot)}),
        (Slot.WAREHOUSE, {"name_snapshot": anybody(register_rules.name_snapshot)}),
        (Slot.WAREHOUSE, {"acquire": acquire_without_the_snapshot}),
        (Slot.WAREHOUSE, {"plan_snapshot": name_at_once}),
        (Slot.WAREHOUSE, {"mark_ready": mark_ready_as_if_saved}),
        (Slot.WAREHOUSE, {"kept_snapshots": prune_all}),
        (Slot.WAREHOUSE, {"protected_snapshots": prune_what_is_pending}),
        (Slot.WAREHOUSE, {"is_stray": everything_is_stray}),
    ],
    ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else str(value),
)
def test_a_broken_rule_is_caught(slot: Slot, broken: dict[str, Callable[..., Any]]) -> None:
    with pytest.raises(Violation):
        explore(slot, Budget(expiries=1), rules_with(**broken))
