"""What must hold of a scenario, whatever befell it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_lib.naming import slot_of
from tests.proof.account import SNAPSHOT, Thing
from tests.proof.bad_rows import find_published
from tests.proof.expectations import EITHER, RED
from tests.proof.faults import environment_of
from tests.proof.scenario import Scenario, left
from tests.world.walk import Walk

_KEPT_SNAPSHOTS = 2  # keep_snapshots, by default

LEAK, TOUCHED, LOST, COLOUR = "leak", "foreign touched", "rows lost", "colour"
PUBLISHED = "refused rows published"


@dataclass(frozen=True)
class Breach:
    """One thing that does not hold: its kind, and what was seen."""

    kind: str
    seen: str


@dataclass(frozen=True)
class Measure:
    """What a fault-free run comes to: tables, answers, and for how long its longest-lived cluster was billed."""

    tables: Any
    published: Any
    longest_s: float


def judge(scenario: Scenario, clean: Measure, *, must_be: str, billed_s: float) -> list[Breach]:
    """All that does not hold; `must_be` is the colour of the runs under a fault: green, red or either.

    `billed_s` is for how long any cluster may be paid for.
    """
    return [
        *_leaks(scenario, billed_s),
        *_touches(scenario),
        *_losses(scenario, clean),
        *_colours(scenario, must_be),
    ]


def _leaks(scenario: Scenario, billed_s: float) -> Iterator[Breach]:
    stays = left(scenario.before, scenario.after)
    if stays:
        yield Breach(LEAK, f"left at the end: {_list(stays)}")
    if scenario.after_janitor_alone is not None:
        stays = left(scenario.before, scenario.after_janitor_alone)
        if stays:
            yield Breach(LEAK, f"left after the janitor: {_list(stays)}")
    document = scenario.world.register(scenario.world.pipeline)
    for slot in (document.emr, document.warehouse):
        if slot.leases or slot.phase != "empty":
            yield Breach(LEAK, f"slot {slot.slot} is {slot.phase} at the end, leases {slot.leases}")
    snapshots = [thing for thing in scenario.after if thing.kind == SNAPSHOT and thing not in scenario.before]
    if len(snapshots) > _KEPT_SNAPSHOTS:
        yield Breach(LEAK, f"too many snapshots are kept: {_list(snapshots)}")
    if scenario.janitor_errors:
        yield Breach(LEAK, f"the janitor could not do its work: {scenario.janitor_errors}")
    if scenario.world.emr.duplicates:
        yield Breach(LEAK, f"two clusters at once had the name {', '.join(scenario.world.emr.duplicates)}")
    longest_s = max(scenario.world.bill.lives_s, default=0.0)
    if longest_s > billed_s:
        yield Breach(LEAK, f"a cluster was paid for during {longest_s:.0f} s, {billed_s:.0f} s is the most")


def _touches(scenario: Scenario) -> Iterator[Breach]:
    for thing, detail in scenario.before.items():
        if scenario.after.get(thing) != detail:
            yield Breach(TOUCHED, f"{thing} was {detail}, now it is {scenario.after.get(thing, 'gone')}")


def _losses(scenario: Scenario, clean: Measure) -> Iterator[Breach]:
    if (
        scenario.retry is not None
        and scenario.retry.red
        and not _is_red_for_the_janitors(scenario, scenario.retry)
    ):
        yield Breach(LOST, f"the retry is red: {scenario.retry.errors}")
    tables = scenario.world.tables(scenario.world.pipeline)
    if tables != clean.tables:
        yield Breach(LOST, f"the tables differ from a fault-free run's: {tables}")
    published = scenario.world.published(scenario.world.pipeline)
    if published != clean.published:
        yield Breach(LOST, f"what is published is not what a fault-free run publishes: {published}")
    if not scenario.bad_rows:
        return
    for name in find_published(scenario.world):
        yield Breach(PUBLISHED, f"rows that a check refuses were committed in {name}")
    if not scenario.gone and scenario.tables_after_first != clean.tables:
        yield Breach(LOST, f"the tables are not the good run's after it: {scenario.tables_after_first}")


def _is_red_for_the_janitors(scenario: Scenario, retry: Walk) -> bool:
    """Whether it did all its work and took what it could, and its inventory names what is the janitor's: orphans,
    and a dead run's slot whose lease ran out while the retry was under way.
    """
    failed = {task for task, state in retry.states.items() if state != "success"}
    return failed == {"release.inventory", "verdict"} and scenario.retry_took_over


def _colours(scenario: Scenario, must_be: str) -> Iterator[Breach]:
    if scenario.gone:
        return  # nobody is there to show a colour
    if must_be != EITHER and scenario.red != (must_be == RED):
        yield Breach(
            COLOUR,
            f"the run is {'red' if scenario.red else 'green'}, it must be {must_be}: "
            f"{scenario.error_text[-600:]}",
        )
    # A final snapshot that is still being taken is what the warehouse will live on: nobody has to remove it.
    stays = [
        thing
        for thing in left(scenario.before, scenario.after_first)
        if slot_of(environment_of(scenario.world), thing.name) not in scenario.held_by_others
        and not (thing.kind == SNAPSHOT and scenario.after_first[thing].startswith("creating"))
    ]
    if stays and not scenario.red:
        yield Breach(COLOUR, f"the run is green and left {_list(stays)}")
    if stays:
        yield from _silences(scenario, stays)


def _silences(scenario: Scenario, stays: list[Thing]) -> Iterator[Breach]:
    """What a red run left and did not name."""
    for thing in stays:
        if thing.name not in scenario.error_text:
            yield Breach(COLOUR, f"{thing} was left, and no error names it")


def _list(things: list[Thing]) -> str:
    return ", ".join(str(thing) for thing in things)
