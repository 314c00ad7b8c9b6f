"""python -m tests.proof.first_breach: looks for anything that does not hold, and ends at the first.

For mutants: the baselines first, then lost and late answers, branches under the likely fault, all the others, and those
of the upserting pipeline's load.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence

import tests.conftest  # noqa: F401  Airflow's home, before Airflow is imported
from tests.proof.branches import Finding, Plan
from tests.proof.faults import FAULTS, VISITS
from tests.proof.plans import all_single, loading, lost_and_late, odd_livy
from tests.proof.proof import Baseline, BaselineFails, prove, record, record_bad_rows, record_idle
from tests.proof.subjects import UPSERTING

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
        record_bad_rows()
        record_idle()
        upserting = record(1, UPSERTING)
        record(2, UPSERTING)
        record_idle(UPSERTING)
        for plans in _plans(one, options.likely):
            prove(one, plans, _look, at_once=2)
        prove(upserting, loading(upserting.calls), _look, at_once=2)
    except (BaselineFails, Caught) as caught:
        print(" ".join(str(caught).split())[:300])
        return CAUGHT
    except Exception as error:  # noqa: BLE001  a mutant may break anything
        print(f"the baseline cannot be made: {type(error).__name__}: {error}"[:300])
        return CAUGHT
    print("everything holds")
    return SURVIVES


def _plans(one: Baseline, likely: str) -> Iterator[Sequence[Plan]]:
    known = [fault for fault in (*FAULTS, *VISITS) if fault.name == likely]
    yield lost_and_late(one.calls)
    yield all_single(len(one.calls), faults=known)
    yield [plan for plan in odd_livy(one.calls) if plan.fault.name == likely]
    yield all_single(len(one.calls), every=_EVERY, faults=(*FAULTS, *VISITS))
    yield odd_livy(one.calls)


def _look(finding: Finding) -> None:
    if finding.breaches:
        breach = finding.breaches[0]
        raise Caught(f"{finding.plan} ({finding.call}): {breach['kind']}: {breach['seen']}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Looks for anything that does not hold.")
    parser.add_argument("--likely", default="", help="the fault to look under first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
