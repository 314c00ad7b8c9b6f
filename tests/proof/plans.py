"""Which branches are told: every call under every trouble, and pairs of troubles, by design and by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.proof.branches import Plan
from tests.proof.troubles import AIRFLOW_GONE, KILLED_AFTER, LOST_ANSWER, SEEN_LATE, TROUBLES, VISITS, Trouble
from tests.world.wire import Call

# How many calls after the first trouble the second one comes, at most: within what the first one set going.
_WITHIN = 80
_ANY = (*TROUBLES, *VISITS)


def all_single(calls: int, *, every: int = 1, troubles: Sequence[Trouble] = TROUBLES) -> list[Plan]:
    """Each trouble at every call; with `every` above 1 at so few calls, other ones for each trouble."""
    return [
        Plan(at, trouble)
        for shift, trouble in enumerate(troubles)
        for at in range(shift * 7 % every, calls, every)
    ]


def lost_and_late(calls: Sequence[Call]) -> list[Plan]:
    """What is made, its answer lost, cannot be seen for a while: the pair that write-ahead is for."""
    by_name = {trouble.name: trouble for trouble in TROUBLES}
    return [
        Plan(at - 1, by_name[SEEN_LATE], (1, by_name[second]))
        for at, call in enumerate(calls)
        if call.operation.startswith(("Create", "RunJobFlow"))
        for second in (LOST_ANSWER, KILLED_AFTER, AIRFLOW_GONE)
    ]


def pairs(calls: int, number: int, *, seed: int) -> list[Plan]:
    """So many pairs of troubles, the same for the same seed."""
    return list(_draw(random.Random(seed), calls, number))


def _draw(luck: random.Random, calls: int, number: int) -> Iterator[Plan]:
    for _ in range(number):
        yield Plan(luck.randrange(calls), luck.choice(_ANY), (luck.randint(1, _WITHIN), luck.choice(_ANY)))
