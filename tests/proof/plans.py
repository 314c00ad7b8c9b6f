"""Which branches are walked: every call under every fault, and pairs of faults, by design and by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.proof.branches import Plan
from tests.proof.faults import (
    AIRFLOW_GONE,
    FAULTS,
    KILLED_AFTER,
    LOST_ANSWER,
    ODD_LIVY,
    SEEN_LATE,
    VISITS,
    InjectedFault,
)
from tests.world.wire import Call

# How many calls after the first fault the second one comes, at most: within what the first one set going.
_WITHIN = 80
_ELSEWHERE = 25  # of a run whose rows are refused: what befalls the rest of a run, the other branches show
_ANY = (*FAULTS, *VISITS)


def all_single(calls: int, *, every: int = 1, faults: Sequence[InjectedFault] = FAULTS) -> list[Plan]:
    """Each fault at every call; with `every` above 1 at so few calls, other ones for each fault."""
    return [
        Plan(at, fault) for shift, fault in enumerate(faults) for at in range(shift * 7 % every, calls, every)
    ]


def odd_livy(calls: Sequence[Call], *, every: int = 1) -> list[Plan]:
    """Each odd way of Livy's at each call to Livy; with `every` above 1 at so few."""
    plans = [Plan(at, fault) for at, call in enumerate(calls) if call.service == "livy" for fault in ODD_LIVY]
    return plans[::every]


def lost_and_late(calls: Sequence[Call]) -> list[Plan]:
    """What is made, its answer lost, cannot be seen for a while: the pair that is the hardest to find again."""
    by_name = {fault.name: fault for fault in FAULTS}
    return [
        Plan(at - 1, by_name[SEEN_LATE], (1, by_name[second]))
        for at, call in enumerate(calls)
        if call.operation.startswith(("Create", "RunJobFlow"))
        for second in (LOST_ANSWER, KILLED_AFTER, AIRFLOW_GONE)
    ]


def refused_rows(calls: Sequence[Call], *, every: int = 1) -> list[Plan]:
    """Each fault at every call of the load itself and at some others; with `every` above 1 at so few of these."""
    last_copy, release = _find_last(calls, "Copy"), _find_last(calls, "Connect")
    plans = [
        Plan(at, fault)
        for shift, fault in enumerate(FAULTS)
        for at in range(len(calls))
        if last_copy <= at < release or at % _ELSEWHERE == shift * 7 % _ELSEWHERE
    ]
    return plans[::every]


def loading(calls: Sequence[Call], *, every: int = 1) -> list[Plan]:
    """Each fault at every call from the load itself to the warehouse's release; with `every` above 1 at so few."""
    first, last = _find_last(calls, "Copy"), _find_last(calls, "Connect")
    return [Plan(at, fault) for fault in FAULTS for at in range(first, last + 1)][::every]


def commits(calls: Sequence[Call]) -> list[Plan]:
    """What leaves it unknown whether a commit took effect, at every commit."""
    unsure = [fault for fault in FAULTS if fault.name in (LOST_ANSWER, KILLED_AFTER, AIRFLOW_GONE)]
    found = [at for at, call in enumerate(calls) if str(call) == "warehouse.Commit"]
    return [Plan(at, fault) for at in found for fault in unsure]


def _find_last(calls: Sequence[Call], operation: str) -> int:
    """The number of the last such call to the warehouse."""
    named = [str(call) for call in calls]
    return len(named) - 1 - named[::-1].index(f"warehouse.{operation}")


def pairs(calls: int, number: int, *, seed: int) -> list[Plan]:
    """So many pairs of faults, the same for the same seed."""
    return list(_draw(random.Random(seed), calls, number))


def _draw(luck: random.Random, calls: int, number: int) -> Iterator[Plan]:
    for _ in range(number):
        yield Plan(luck.randrange(calls), luck.choice(_ANY), (luck.randint(1, _WITHIN), luck.choice(_ANY)))
