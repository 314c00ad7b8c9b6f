"""python -m tests.proof.hunt: looks for anything that does not hold, and ends at the first.

For mutants: the clean walks first, then lost and late answers, branches under the likely trouble, and all the others.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence

import tests.conftest  # noqa: F401  Airflow's home, before Airflow is imported
from tests.proof.branches import Finding, Plan
from tests.proof.plans import all_single, lost_and_late
from tests.proof.proof import Clean, NotClean, prove, record
from tests.proof.troubles import TROUBLES, VISITS

CAUGHT, SURVIVES = 10, 11
_EVERY = 5


class Caught(BaseException):
    """Something does not hold. Nothing of the product may catch it: it is raised in the middle of the parent's walk."""


def main() -> int:
    options = _parse()
    logging.disable(logging.CRITICAL)
    try:
        one = record(runs=1)
        record(runs=2)
        for plans in _plans(one, options.likely):
            prove(one, plans, _look, runs=1, at_once=2)
    except (NotClean, Caught) as caught:
        print(" ".join(str(caught).split())[:300])
        return CAUGHT
    except Exception as error:  # noqa: BLE001  a mutant may break anything
        print(f"the clean walk cannot be made: {type(error).__name__}: {error}"[:300])
        return CAUGHT
    print("everything holds")
    return SURVIVES


def _plans(one: Clean, likely: str) -> Iterator[Sequence[Plan]]:
    known = [trouble for trouble in (*TROUBLES, *VISITS) if trouble.name == likely]
    yield lost_and_late(one.calls)
    yield all_single(len(one.calls), troubles=known)
    yield all_single(len(one.calls), every=_EVERY, troubles=(*TROUBLES, *VISITS))


def _look(finding: Finding) -> None:
    if finding.breaches:
        breach = finding.breaches[0]
        raise Caught(f"{finding.plan} ({finding.call}): {breach['kind']}: {breach['seen']}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Looks for anything that does not hold.")
    parser.add_argument("--likely", default="", help="the trouble to look under first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
