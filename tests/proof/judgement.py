"""What must hold of a story, whatever befell it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_lib.naming import slot_of
from tests.proof.account import SNAPSHOT, Thing
from tests.proof.expectations import EITHER, RED
from tests.proof.story import Story, left
from tests.proof.troubles import ENVIRONMENT
from tests.world.pipeline import PIPELINE
from tests.world.walk import Walk

_KEPT_SNAPSHOTS = 2  # keep_snapshots, by default

LEAK, TOUCHED, LOST, COLOUR = "leak", "foreign touched", "rows lost", "colour"


@dataclass(frozen=True)
class Breach:
    """One thing that does not hold: its kind, and what was seen."""

    kind: str
    seen: str


@dataclass(frozen=True)
class Measure:
    """What a clean run comes to: the tables, and for how long its longest-lived cluster was billed."""

    tables: Any
    longest_s: float


def judge(story: Story, clean: Measure, *, must_be: str, billed_s: float) -> list[Breach]:
    """All that does not hold; `must_be` is the colour of the struck runs: green, red or either.

    `billed_s` is for how long any cluster may be paid for.
    """
    return [*_leaks(story, billed_s), *_touches(story), *_losses(story, clean), *_colours(story, must_be)]


def _leaks(story: Story, billed_s: float) -> Iterator[Breach]:
    stays = left(story.before, story.after)
    if stays:
        yield Breach(LEAK, f"left at the end: {_list(stays)}")
    if story.after_janitor_alone is not None:
        stays = left(story.before, story.after_janitor_alone)
        if stays:
            yield Breach(LEAK, f"left after the janitor: {_list(stays)}")
    for slot in (story.world.register(PIPELINE).emr, story.world.register(PIPELINE).warehouse):
        if slot.resources or slot.leases or slot.phase != "empty":
            yield Breach(LEAK, f"slot {slot.slot} is {slot.phase} at the end, leases {slot.leases}")
    snapshots = [thing for thing in story.after if thing.kind == SNAPSHOT and thing not in story.before]
    if len(snapshots) > _KEPT_SNAPSHOTS:
        yield Breach(LEAK, f"too many snapshots are kept: {_list(snapshots)}")
    if story.janitor_errors:
        yield Breach(LEAK, f"the janitor could not do its work: {story.janitor_errors}")
    if story.world.emr.duplicates:
        yield Breach(LEAK, f"two clusters at once had the name {', '.join(story.world.emr.duplicates)}")
    longest_s = max(story.world.bill.lives_s, default=0.0)
    if longest_s > billed_s:
        yield Breach(LEAK, f"a cluster was paid for during {longest_s:.0f} s, {billed_s:.0f} s is the most")


def _touches(story: Story) -> Iterator[Breach]:
    for thing, detail in story.before.items():
        if story.after.get(thing) != detail:
            yield Breach(TOUCHED, f"{thing} was {detail}, now it is {story.after.get(thing, 'gone')}")


def _losses(story: Story, clean: Measure) -> Iterator[Breach]:
    if story.retry is not None and story.retry.red and not _is_red_for_the_janitors(story, story.retry):
        yield Breach(LOST, f"the retry is red: {story.retry.errors}")
    tables = story.world.tables(PIPELINE)
    if tables != clean.tables:
        yield Breach(LOST, f"the tables differ from a clean run's: {tables}")


def _is_red_for_the_janitors(story: Story, retry: Walk) -> bool:
    """Whether it did all its work and took what it could, and its inventory tells of what is the janitor's: strays,
    and a dead run's slot whose lease ran out while the retry was under way.
    """
    failed = {task for task, state in retry.states.items() if state != "success"}
    return failed == {"release.inventory", "verdict"} and story.retry_took_over


def _colours(story: Story, must_be: str) -> Iterator[Breach]:
    if story.gone:
        return  # nobody is there to show a colour
    if must_be != EITHER and story.red != (must_be == RED):
        yield Breach(
            COLOUR, f"the run is {'red' if story.red else 'green'}, it must be {must_be}: {story.told[-600:]}"
        )
    # A final snapshot that is still being taken is what the warehouse will live on: nobody need remove it.
    stays = [
        thing
        for thing in left(story.before, story.after_first)
        if slot_of(ENVIRONMENT, thing.name) not in story.held_by_others
        and not (thing.kind == SNAPSHOT and story.after_first[thing].startswith("creating"))
    ]
    if stays and not story.red:
        yield Breach(COLOUR, f"the run is green and left {_list(stays)}")
    if stays:
        yield from _silences(story, stays)


def _silences(story: Story, stays: list[Thing]) -> Iterator[Breach]:
    """What a red run left and did not name."""
    for thing in stays:
        if thing.name not in story.told:
            yield Breach(COLOUR, f"{thing} was left, and no error names it")


def _list(things: list[Thing]) -> str:
    return ", ".join(str(thing) for thing in things)
