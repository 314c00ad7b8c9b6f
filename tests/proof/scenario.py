"""One branch of the proof: runs under a fault, then a healthy world, a retry, and a pass of the janitor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from airflow_lib.naming import Slot
from airflow_lib.settings import MayflySettings
from airflow_lib.steps import Run
from tests.proof.account import SNAPSHOT, Account, Thing, look
from tests.proof.bad_rows import correct_arrivals
from tests.proof.janitor import pass_once
from tests.proof.subjects import Changes
from tests.world import World
from tests.world.walk import Walk, walk_all
from tests.world.wire import AirflowGone

LEASE_S = MayflySettings.model_fields["lease_s"].default
_NEVER = datetime.max.replace(tzinfo=UTC)  # no lease is live so late


@dataclass
class Scenario:
    """What happened.

    `first` are the runs under a fault; `after_first` is the account when they were over, and `held_by_others`
    the slots on which somebody else, such as a janitor in the middle of its pass, had a live lease then.
    `bad_rows`: the runs under a fault have rows that a check refuses, and a run before them had good ones;
    `tables_after_first` is what was loaded when they were over.
    `retry_took_over` is whether the retry emptied every slot but those that were under a dead run's live lease when
    it began: that may run out when its releases have passed.
    """

    world: World
    before: Account
    first: list[Walk] = field(default_factory=list)
    gone: bool = False
    bad_rows: bool = False
    tables_after_first: dict[str, Any] = field(default_factory=dict)
    after_first: Account = field(default_factory=dict)
    held_by_others: frozenset[Slot] = frozenset()
    retry: Walk | None = None
    retry_took_over: bool = False
    janitor_errors: list[str] = field(default_factory=list)
    after_janitor_alone: Account | None = None
    after: Account = field(default_factory=dict)

    @property
    def red(self) -> bool:
        return any(walk.red for walk in self.first)

    @property
    def error_text(self) -> str:
        """All error messages of the runs under a fault."""
        errors = [error for walk in self.first for tries in walk.errors.values() for error in tries]
        return "\n".join(str(error) for error in errors)


class ScenarioRunner:
    """Runs a scenario in a world, with `runs` at once under the fault.

    Before them comes a good run for each of `changes`, and then that change. With `bad_rows` it spoils the source.
    """

    def __init__(
        self,
        world: World,
        *,
        runs: int = 1,
        changes: Changes = (),
        bad_rows: bool = False,
    ) -> None:
        self._world, self._runs = world, runs
        self.scenario = Scenario(world, before=look(), bad_rows=bad_rows)
        for number, change in enumerate(changes):
            (good,) = walk_all(world, [self._run(f"good{number}")])
            assert not good.red, good.errors
            world.bill.forget()
            change(world)

    def run_first(self) -> None:
        """Make the first runs; the wire decides which faults they meet."""
        runs = [self._run(f"run{number + 1}") for number in range(self._runs)]
        try:
            self.scenario.first = walk_all(self._world, runs)
        except AirflowGone:
            self.scenario.gone = True
        self.scenario.after_first = look()
        self.scenario.tables_after_first = self._world.tables(self._world.pipeline)
        self.scenario.held_by_others = self._held_by_others({run.run_id for run in runs})

    def end(self) -> Scenario:
        """No more faults: who is left cleans up."""
        scenario, world = self.scenario, self._world
        world.heal()
        if scenario.gone:
            self._run_janitor()
            scenario.after_janitor_alone = look()
        if scenario.bad_rows:
            correct_arrivals(world)
        if scenario.gone or scenario.red or not self.is_settled:
            began = world.now()
            (scenario.retry,) = walk_all(world, [self._run("retry")])
            scenario.retry_took_over = self._slots_are_empty_but_for_leases_beyond(began)
            self._run_janitor()
        scenario.after = look()
        return scenario

    def run_later(self, runs: int) -> list[Walk]:
        """Further runs, one after the other, that work: the warehouse lives on from snapshot to snapshot."""
        return [
            walk
            for number in range(runs)
            for walk in walk_all(self._world, [self._run(f"later{number}", force=True)])
        ]

    @property
    def is_settled(self) -> bool:
        """Whether the world is as a fault-free run leaves it: whatever follows would go as after one."""
        return self._slots_are_empty_but_for_leases_beyond(_NEVER) and not left(self.scenario.before, look())

    def _slots_are_empty_but_for_leases_beyond(self, time: datetime) -> bool:
        document = self._world.register(self._world.pipeline)
        slots = [document.slot(slot) for slot in Slot if not document.slot(slot).live(time)]
        return all(slot.phase == "empty" for slot in slots)

    def _held_by_others(self, runs: set[str]) -> frozenset[Slot]:
        document, now = self._world.register(self._world.pipeline), self._world.now()
        return frozenset(slot for slot in Slot if set(document.slot(slot).live(now)) - runs)

    def _run(self, run_id: str, *, force: bool = False) -> Run:
        return replace(self._world.run(run_id, pipeline=self._world.pipeline), force=force)

    def _run_janitor(self) -> None:
        """One pass, when no lease of the dead is left."""
        self._world.advance(LEASE_S + 1)
        self.scenario.janitor_errors += pass_once(self._world)


def left(before: Account, after: Account) -> list[Thing]:
    """What is there now and was not, but for snapshots that can be restored: the warehouse lives on in them."""
    return [
        thing
        for thing, detail in after.items()
        if thing not in before and not (thing.kind == SNAPSHOT and detail.startswith("available"))
    ]
