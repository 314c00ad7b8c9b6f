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
from airflow_lib.lifecycle import inventory
from airflow_lib.lifecycle import rules as register_rules
from airflow_lib.lifecycle.document import Phase
from airflow_lib.lifecycle.inventory import Standing
from airflow_lib.lifecycle.rules import Caller
from airflow_lib.naming import Slot
from airflow_lib.resources import snapshots
from tests.unit.airflow_lib.lifecycle.register_program import Program, tidy_up
from tests.unit.airflow_lib.lifecycle.register_world import (
    Budget,
    Violation,
    World,
    begin,
    canonical,
    check_invariants,
    format_world,
)

QUICK = [
    (Slot.EMR, Budget(crashes=1, failures=1, keep_alives=1)),
    (Slot.EMR, Budget(expiries=1)),
    (Slot.WAREHOUSE, Budget(crashes=1, failures=1, keep_alives=1)),
    (Slot.WAREHOUSE, Budget(crashes=1, expiries=1)),
]
FULL = [(slot, Budget(crashes=1, expiries=1, failures=1, keep_alives=1)) for slot in Slot]


# All that decides what runs and janitor may do.
RULES = SimpleNamespace(
    **vars(register_rules),
    standing_of=inventory.standing_of,
    kept_snapshots=snapshots.kept_snapshots,
    protected_snapshots=lambda state: state.protected_snapshots,
)


def explore(slot: Slot, budget: Budget, rules: Any = RULES) -> set[World]:
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
            raise Violation(f"{violation}\n{format_way(came_from, world)}") from violation
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


def format_way(came_from: dict[World, World | None], world: World | None) -> str:
    way = []
    while world is not None:
        way.append(format_world(world))
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


def test_a_duplicate_cluster_is_reached_and_goes() -> None:
    worlds = explore(Slot.EMR, Budget(expiries=1))
    duplicates = sum(1 for world in worlds if len(world.clusters) > 1)
    assert duplicates > 0, f"{len(worlds)} states"


def rules_with(**broken: Callable[..., Any]) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(RULES), **broken})


def everybody_tears_down(state: Any, caller: Caller, **_: Any) -> Any:
    if state.lease(caller.id) is None:
        return register_rules.release(state, caller)
    return register_rules._begin_teardown(state, caller)


def take_over_from_the_living(state: Any, caller: Caller) -> Any:
    if state.phase is Phase.EMPTY:
        return register_rules.take_over(state, caller)
    return register_rules._begin_teardown(state, caller)


def take_over_nothing(state: Any, caller: Caller) -> Any:
    return state, register_rules.Release(register_rules.ReleaseOutcome.SHARED, state)


def acquire_what_is_torn_down(state: Any, caller: Caller) -> Any:
    if state.phase is Phase.TEARING_DOWN and state.owner != caller.id:
        state = replace(state, phase=Phase.READY, owner=None)
    return register_rules.acquire(state, caller)


def acquire_the_same_generation(state: Any, caller: Caller) -> Any:
    if state.phase is Phase.EMPTY and state.generation:
        state = replace(state, generation=state.generation - 1)
    return register_rules.acquire(state, caller)


def acquire_without_the_snapshot(state: Any, caller: Caller) -> Any:
    if state.phase is Phase.EMPTY:
        state = replace(state, snapshot=None)
    return register_rules.acquire(state, caller)


def acquire_from_the_living(state: Any, caller: Caller) -> Any:
    return register_rules.acquire(state, replace(caller, now=caller.now + timedelta(days=1)))


def release_without_a_lease(state: Any, caller: Caller, **given: Any) -> Any:
    if state.phase is not Phase.EMPTY and state.lease(caller.id) is None:
        return register_rules._begin_teardown(state, caller)
    return register_rules.release(state, caller, **given)


def anybody(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule, when it takes whoever calls it for the owner."""

    def broken(state: Any, caller: Caller, **given: Any) -> Any:
        if state.owner is None:
            return state, state
        return rule(state, replace(caller, id=state.owner), **given)

    broken.__name__ = f"anybody_may_{rule.__name__}"
    return broken


def record_at_once(state: Any, caller: Caller, **given: Any) -> Any:
    state, _ = register_rules.plan_snapshot(state, caller, **given)
    return register_rules.record_snapshot(state, caller, **given)


def mark_ready_as_if_saved(state: Any, caller: Caller, **given: Any) -> Any:
    state, _ = register_rules.mark_ready(state, caller, **given)
    state = replace(state, unsaved=False)
    return state, state


def keep_only_the_newest(owned: Any, protected: Any, keep: int) -> Any:
    return snapshots.kept_snapshots(owned, (), keep)


def protect_no_pending(state: Any) -> Any:
    return replace(state, pending_snapshot=None).protected_snapshots


def everything_is_an_orphan(*_: Any) -> Standing:
    return Standing.ORPHAN


def nothing_is_an_orphan(*_: Any) -> Standing:
    return Standing.HELD


@pytest.mark.parametrize(
    ("slot", "broken"),
    [
        (Slot.EMR, {"release": everybody_tears_down}),
        (Slot.EMR, {"take_over": take_over_from_the_living}),
        (Slot.EMR, {"take_over": take_over_nothing}),
        (Slot.EMR, {"acquire": acquire_what_is_torn_down}),
        (Slot.EMR, {"acquire": acquire_the_same_generation}),
        (Slot.EMR, {"standing_of": everything_is_an_orphan}),
        (Slot.EMR, {"standing_of": nothing_is_an_orphan}),
        (Slot.EMR, {"acquire": acquire_from_the_living}),
        (Slot.EMR, {"release": release_without_a_lease}),
        (Slot.EMR, {"mark_ready": anybody(register_rules.mark_ready)}),
        (Slot.EMR, {"mark_empty": anybody(register_rules.mark_empty)}),
        (Slot.WAREHOUSE, {"plan_snapshot": anybody(register_rules.plan_snapshot)}),
        (Slot.WAREHOUSE, {"record_snapshot": anybody(register_rules.record_snapshot)}),
        (Slot.WAREHOUSE, {"acquire": acquire_without_the_snapshot}),
        (Slot.WAREHOUSE, {"plan_snapshot": record_at_once}),
        (Slot.WAREHOUSE, {"mark_ready": mark_ready_as_if_saved}),
        (Slot.WAREHOUSE, {"kept_snapshots": keep_only_the_newest}),
        (Slot.WAREHOUSE, {"protected_snapshots": protect_no_pending}),
        (Slot.WAREHOUSE, {"standing_of": everything_is_an_orphan}),
    ],
    ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else str(value),
)
def test_a_broken_rule_is_caught(slot: Slot, broken: dict[str, Callable[..., Any]]) -> None:
    with pytest.raises(Violation):
        explore(slot, Budget(expiries=1), rules_with(**broken))
