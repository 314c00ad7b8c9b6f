"""python -m tests.proof [--quick] [--seed N] [--pairs N] [--at-once N]

The last line is the result; the exit code is 0 only where nothing leaked, nothing foreign was touched, no rows
were lost, none that a check refuses were published, and every run had the colour it must have.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter

import tests.conftest  # noqa: F401  Airflow's home, before Airflow is imported
from tests.proof.branches import Finding, Plan
from tests.proof.faults import FAULTS, ODD_LIVY, VISITS
from tests.proof.judgement import LEAK, LOST, PUBLISHED, TOUCHED
from tests.proof.plans import all_single, lost_and_late, odd_livy, pairs, refused_rows
from tests.proof.proof import Baseline, prove, record, record_bad_rows, record_idle

_QUICK_EVERY = 23
_REPORT_EVERY = 500


class Tally:
    """What was found so far; prints each breach as it comes."""

    def __init__(self, planned: int) -> None:
        self._planned, self._started = planned, time.monotonic()
        self.findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)
        for breach in finding.breaches:
            print(f"{finding.plan} ({finding.call}): {breach['kind']}: {breach['seen']}", flush=True)
        if len(self.findings) % _REPORT_EVERY == 0:
            passed_s = time.monotonic() - self._started
            print(f"{len(self.findings)} of {self._planned} runs after {passed_s:.0f} s", flush=True)

    @property
    def is_whole(self) -> bool:
        return len(self.findings) == self._planned and not any(one.breaches for one in self.findings)

    def count(self, kind: str) -> int:
        """How many runs have a breach of this kind."""
        return sum(any(breach["kind"] == kind for breach in one.breaches) for one in self.findings)

    def table(self) -> str:
        """Per fault: runs, red ones, retries, and the longest that any cluster was billed."""
        lines = [f"{'first fault':44} {'runs':>6} {'red':>6} {'retried':>8} {'longest billed':>15}"]
        for fault in (*FAULTS, *ODD_LIVY, *VISITS):
            mine = [one for one in self.findings if one.fault == fault.name]
            red, retried = Counter(one.red for one in mine)[True], sum(one.retried for one in mine)
            longest_s = max((one.longest_s for one in mine), default=0.0)
            lines.append(f"{fault.name:44} {len(mine):6} {red:6} {retried:8} {longest_s / 60:11.0f} min")
        return "\n".join(lines)


def main() -> int:
    options = _parse()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    one, two, bad, idle = record(runs=1), record(runs=2), record_bad_rows(), record_idle()
    plans = _plan(options, one, two, bad, idle)
    tally = Tally(sum(len(chosen) for _, chosen in plans))
    for baseline, chosen in plans:
        prove(baseline, chosen, tally.add, at_once=options.at_once)
    print(tally.table())
    wrong = len([one for one in tally.findings if one.breaches])
    print(f"{wrong} runs in which something did not hold, wrong colours and crashes included")
    print(f"{time.monotonic() - started:.0f} s, {sum(os.times()[:4]):.0f} CPU s")
    every_plan = [plan for baseline, chosen in plans if baseline in (one, two) for plan in chosen]
    refused, nothing = (
        sum(len(chosen) for baseline, chosen in plans if baseline is which) for which in (bad, idle)
    )
    paired = sum(plan.again is not None for plan in every_plan)
    odd = sum(plan.fault in ODD_LIVY for plan in every_plan)
    what = f"{len(one.calls)} calls x {len(FAULTS)} faults"
    if options.quick:
        what = f"{len(every_plan) - paired - odd} of {what}"
    print(
        f"proof: {what} + {odd} odd answers of Livy + {paired} pairs + {refused} with rows that a check refuses + "
        f"{nothing} with nothing to do = "
        f"{len(tally.findings)} runs, {tally.count(LEAK)} leaks, {tally.count(TOUCHED)} foreign touched, "
        f"{tally.count(LOST)} rows lost, {tally.count(PUBLISHED)} refused rows published"
    )
    return 0 if tally.is_whole else 1


def _plan(
    options: argparse.Namespace, one: Baseline, two: Baseline, bad: Baseline, idle: Baseline
) -> list[tuple[Baseline, list[Plan]]]:
    """Each baseline and its branches."""
    every = _QUICK_EVERY if options.quick else 1
    singles = [
        *all_single(len(one.calls), every=every),
        *odd_livy(one.calls, every=every),
        *lost_and_late(one.calls),
        *pairs(len(one.calls), options.pairs, seed=options.seed),
    ]
    return [
        (one, singles),
        (two, pairs(len(two.calls), options.pairs, seed=options.seed + 1)),
        (bad, refused_rows(bad.calls, every=every)),
        (idle, all_single(len(idle.calls), every=every)),
    ]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Proves that nothing is left behind, touched or lost.")
    parser.add_argument("--quick", action="store_true", help="a part of the calls, for `make test`")
    parser.add_argument("--seed", type=int, default=1, help="which pairs of faults are drawn")
    parser.add_argument(
        "--pairs", type=int, default=None, help="pairs in one run, and as many in two at once"
    )
    parser.add_argument("--at-once", type=int, default=2, help="processes at a time")
    options = parser.parse_args()
    if options.pairs is None:
        options.pairs = 20 if options.quick else 300
    return options


if __name__ == "__main__":
    sys.exit(main())
