"""Which branches are told: every call under every trouble, and pairs of troubles by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.proof.branches import Plan
from tests.proof.troubles import TROUBLES

# How many calls after the first trouble the second one comes, at most: within what the first one set going.
_WITHIN = 80


def all_single(calls: int, *, every: int = 1) -> list[Plan]:
    """Each trouble at every call; with `every` above 1 at so few calls, other ones for each trouble."""
    return [
        Plan(at, trouble)
        for shift, trouble in enumerate(TROUBLES)
        for at in range(shift * 7 % every, calls, every)
    ]


def pairs(calls: int, number: int, *, seed: int) -> list[Plan]:
    """So many pairs of troubles, the same for the same seed."""
    return list(_draw(random.Random(seed), calls, number))


def _draw(luck: random.Random, calls: int, number: int) -> Iterator[Plan]:
    for _ in range(number):
        yield Plan(
            luck.randrange(calls), luck.choice(TROUBLES), (luck.randint(1, _WITHIN), luck.choice(TROUBLES))
        )
