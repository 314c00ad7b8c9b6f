"""Proves one scenario: measure a baseline, then judge every branch of it."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tests.proof.bad_rows import spoil_arrivals
from tests.proof.branches import Finding, Forks, Plan
from tests.proof.expectations import EITHER, GREEN, RED, billed_s, colour_of
from tests.proof.judgement import Measure, judge
from tests.proof.observer import Observer
from tests.proof.scenario import Scenario, ScenarioRunner
from tests.proof.subjects import WINDOWED, Changes, Subject, leave
from tests.world import World
from tests.world.foreign import ForeignResources
from tests.world.neighbours import put_malformed_neighbours
from tests.world.walk import Walk
from tests.world.wire import Call

_LATER_RUNS = 3  # until there is an old snapshot to prune, and a restored warehouse
# What a child reports has to fit into a pipe.
_REPORTED, _BREACHES = 2000, 10


@dataclass(frozen=True)
class Baseline:
    """The recorded clean walk of so many `runs` at once of the subject's pipeline.

    With `bad_rows` it is that of a run whose rows a check refuses, with `idle` of one that has nothing to do.
    `changes` are as `ScenarioRunner` takes them.
    """

    subject: Subject
    calls: tuple[Call, ...]
    measure: Measure
    runs: int = 1
    changes: Changes = ()
    bad_rows: bool = False
    idle: bool = False


@contextmanager
def prepared_world(subject: Subject) -> Iterator[World]:
    """A world with the pipeline's sources, strangers' things that look like ours, and malformed neighbours."""
    with World() as world:
        world.pipeline = subject.pipeline
        world.put_sources(subject.pipeline)
        subject.install(world)
        ForeignResources(world)
        put_malformed_neighbours(world)
        world.bill.forget()
        world.wire.read_cache.on = True
        yield world


class BaselineFails(Exception):
    """Not even the baseline holds; the message says what."""


def record(runs: int, subject: Subject = WINDOWED) -> Baseline:
    """The baseline of `runs` at once. Raises BaselineFails."""
    with prepared_world(subject) as world:
        runner = ScenarioRunner(world, runs=runs, changes=subject.changes)
        first = len(world.wire.calls)
        observer = Observer(world)
        runner.run_first()
        calls = tuple(world.wire.calls[first:])
        measure = Measure(subject.tables, subject.published, max(world.bill.lives_s, default=0.0))
        later = runner.run_later(_LATER_RUNS)
        _raise_if([*observer.findings, *_complaints(runner.end(), later, measure)])
        return Baseline(subject, calls, measure, runs, subject.changes)


def record_idle(subject: Subject = WINDOWED) -> Baseline:
    """The baseline of a run that has nothing to do, after one that loaded the same. Raises BaselineFails."""
    with prepared_world(subject) as world:
        changes = (*subject.changes, leave)
        runner = ScenarioRunner(world, changes=changes)
        longest_s = max(world.bill.lives_s, default=0.0)
        first, made = len(world.wire.calls), len(world.bill.lives_s)
        runner.run_first()
        calls = tuple(world.wire.calls[first:])
        measure = Measure(subject.tables, subject.published, longest_s)
        wrong = list(_complaints(runner.end(), (), measure))
        if not all(walk.idle for walk in runner.scenario.first) or len(world.bill.lives_s) > made:
            wrong.append(f"the run works: {[str(call) for call in calls]}")
        _raise_if(wrong)
        return Baseline(subject, calls, measure, changes=changes, idle=True)


def record_bad_rows() -> Baseline:
    """The baseline of a run whose rows a check refuses, after a good one. Raises BaselineFails."""
    with prepared_world(WINDOWED) as world:
        changes = (spoil_arrivals,)
        runner = ScenarioRunner(world, bad_rows=True, changes=changes)
        first = len(world.wire.calls)
        runner.run_first()
        calls = tuple(world.wire.calls[first:])
        measure = Measure(WINDOWED.tables, WINDOWED.published, max(world.bill.lives_s, default=0.0))
        breaches = judge(runner.end(), measure, must_be=RED, billed_s=math.inf)
        wrong = [f"{breach.kind}: {breach.seen}" for breach in breaches]
        if "references_arrivals_airport_airports" not in runner.scenario.error_text:
            wrong.append(f"no error names the check: {runner.scenario.error_text}")
        _raise_if(wrong)
        return Baseline(WINDOWED, calls, measure, bad_rows=True, changes=changes)


def _raise_if(wrong: Sequence[str]) -> None:
    if wrong:
        raise BaselineFails("; ".join(wrong)[:_REPORTED])


def _complaints(scenario: Scenario, later: Sequence[Walk], measure: Measure) -> Iterator[str]:
    """What does not hold of a scenario without faults."""
    for breach in judge(scenario, measure, must_be=GREEN, billed_s=math.inf):
        yield f"{breach.kind}: {breach.seen}"
    for walk in later:
        if walk.red:
            yield f"a later run is red: {walk.errors}"
    if scenario.retry is not None:
        yield "it does not leave things as it found them"


def prove(
    baseline: Baseline, plans: Sequence[Plan], report: Callable[[Finding], None], *, at_once: int
) -> None:
    """Judge every planned branch of the baseline, and `report` each."""
    with prepared_world(baseline.subject) as world:
        gc.freeze()  # what is there by now stays: no child need copy it to look at it
        runner = ScenarioRunner(
            world, runs=baseline.runs, changes=baseline.changes, bad_rows=baseline.bad_rows
        )
        forks = Forks(world, plans, report, at_once)
        world.wire.choose_fault = forks
        try:
            runner.run_first()
            if forks.plan is None:
                forks.finish()
                return
            scenario = runner.end()
            forks.finish(**_find(scenario, baseline, forks.plan))
        except BaseException as error:  # noqa: BLE001  a child must end here, whatever happened
            forks.fail(error)


def _find(scenario: Scenario, baseline: Baseline, plan: Plan) -> dict[str, object]:
    alone = plan.fault if plan.again is None else None
    must_be = colour_of(alone, plan.at, baseline.calls) if alone else EITHER
    must_be = RED if baseline.bad_rows else must_be
    billed = billed_s(alone, baseline.measure.longest_s)
    breaches = judge(scenario, baseline.measure, must_be=must_be, billed_s=billed)
    return {
        "breaches": [{**asdict(one), "seen": one.seen[:_REPORTED]} for one in breaches[:_BREACHES]],
        "red": scenario.red,
        "retried": scenario.retry is not None,
        "longest_s": max(scenario.world.bill.lives_s, default=0.0),
    }
