"""Proves one scenario: measure a clean walk, then judge every branch of it."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tests.proof.branches import Finding, Forks, Plan
from tests.proof.expectations import EITHER, GREEN, billed_s, colour_of
from tests.proof.judgement import Measure, judge
from tests.proof.story import Story, Teller
from tests.proof.witness import Witness
from tests.world import APRIL, World
from tests.world.foreign import ForeignResources
from tests.world.pipeline import PIPELINE, tables_of
from tests.world.walk import Walk
from tests.world.wire import Call

_LATER_RUNS = 3  # until there is an old snapshot to prune, and a restored warehouse
# What a child tells has to fit into a pipe.
_TOLD, _BREACHES = 2000, 10


@dataclass(frozen=True)
class Clean:
    """The recorded clean walk."""

    calls: tuple[Call, ...]
    measure: Measure


@contextmanager
def peopled_world() -> Iterator[World]:
    """A world with the pipeline's sources, and strangers' things that look like ours."""
    with World() as world:
        world.put_sources(PIPELINE)
        ForeignResources(world)
        world.bill.forget()
        world.wire.memory.on = True
        yield world


class NotClean(Exception):
    """Not even the clean walk holds; the message says what."""


def record(runs: int) -> Clean:
    """The clean walk of `runs` at once. Raises NotClean."""
    with peopled_world() as world:
        teller, first = Teller(world, runs=runs), len(world.wire.calls)
        witness = Witness(world)
        teller.strike()
        calls = tuple(world.wire.calls[first:])
        measure = Measure(world.tables(PIPELINE), max(world.bill.lives_s, default=0.0))
        later = teller.live_on(_LATER_RUNS)
        wrong = [*witness.told, *_complaints(teller.end(), later, measure)]
        if measure.tables != tables_of(*[APRIL] * runs):
            wrong.append(f"the tables are {measure.tables}")
        if wrong:
            raise NotClean("; ".join(wrong)[:_TOLD])
        return Clean(calls, measure)


def _complaints(story: Story, later: Sequence[Walk], measure: Measure) -> Iterator[str]:
    """What does not hold of a story without troubles."""
    for breach in judge(story, measure, must_be=GREEN, billed_s=math.inf):
        yield f"{breach.kind}: {breach.seen}"
    for walk in later:
        if walk.red:
            yield f"a later run is red: {walk.errors}"
    if story.retry is not None:
        yield "it does not leave things as it found them"


def prove(
    clean: Clean, plans: Sequence[Plan], tell: Callable[[Finding], None], *, runs: int, at_once: int
) -> None:
    """Judge every planned branch of the clean walk, and `tell` of each."""
    with peopled_world() as world:
        gc.freeze()  # what is there by now stays: no child need copy it to look at it
        teller = Teller(world, runs=runs)
        forks = Forks(world, plans, tell, at_once)
        world.wire.choose_fault = forks
        try:
            teller.strike()
            if forks.plan is None:
                forks.finish()
                return
            story = teller.end()
            forks.finish(**_find(story, clean, forks.plan))
        except BaseException as error:  # noqa: BLE001  a child must end here, whatever happened
            forks.fail(error)


def _find(story: Story, clean: Clean, plan: Plan) -> dict[str, object]:
    alone = plan.trouble if plan.again is None else None
    must_be = colour_of(alone, plan.at, clean.calls) if alone else EITHER
    billed = billed_s(alone, clean.measure.longest_s)
    breaches = judge(story, clean.measure, must_be=must_be, billed_s=billed)
    return {
        "breaches": [{**asdict(one), "seen": one.seen[:_TOLD]} for one in breaches[:_BREACHES]],
        "red": story.red,
        "retried": story.retry is not None,
        "longest_s": max(story.world.bill.lives_s, default=0.0),
    }
