"""python -m tests.proof [--quick] [--seed N] [--pairs N] [--at-once N]

The last lines are the result, one a pipeline; the exit code is 0 only where nothing leaked, nothing foreign was
touched, no rows were lost or loaded twice, none that a check refuses were published, and every run had the colour it
must have.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import tests.conftest  # noqa: F401  Airflow's home, before Airflow is imported
from tests.proof.branches import Finding, Plan
from tests.proof.faults import FAULTS, ODD_LIVY, VISITS
from tests.proof.judgement import LEAK, LOST, PUBLISHED, TOUCHED
from tests.proof.plans import all_single, commits, loading, lost_and_late, odd_livy, pairs, refused_rows
from tests.proof.proof import Baseline, prove, record, record_bad_rows, record_idle
from tests.proof.subjects import UPSERTING

_QUICK_EVERY = 23
_PAIRS, _QUICK_PAIRS = 300, 20
_REPORT_EVERY = 500
_SINGLE, _ODD, _PAIR = "with one fault", "with an odd answer of Livy", "with two"
_BAD, _IDLE = "with rows that a check refuses", "with nothing to do"
_FOUND = {
    LEAK: "leaks",
    TOUCHED: "foreign touched",
    LOST: "rows lost or loaded twice",
    PUBLISHED: "refused rows published",
}


@dataclass
class Part:
    """What is walked of one pipeline: each baseline of it with its branches, and what was found in them so far."""

    name: str
    plans: list[tuple[Baseline, list[Plan]]]
    findings: list[Finding] = field(default_factory=list)

    def walk(self, at_once: int) -> None:
        """Walk every branch; each breach is printed as it is found."""
        for baseline, chosen in self.plans:
            prove(baseline, chosen, self._add, at_once=at_once)

    @property
    def planned(self) -> int:
        return sum(len(chosen) for _, chosen in self.plans)

    @property
    def is_whole(self) -> bool:
        return len(self.findings) == self.planned and not any(one.breaches for one in self.findings)

    def result(self) -> str:
        """How many runs of which kind there were, and in how many of them something did not hold."""
        kinds = Counter(_kind_of(baseline, plan) for baseline, chosen in self.plans for plan in chosen)
        what = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        found = ", ".join(f"{self._count(kind)} {words}" for kind, words in _FOUND.items())
        return (
            f"proof of the {self.name} pipeline ({len(self.plans[0][0].calls)} calls, {len(FAULTS)} faults): "
            f"{len(self.findings)} runs ({what}): {found}"
        )

    def _add(self, finding: Finding) -> None:
        self.findings.append(finding)
        for breach in finding.breaches:
            where = f"{self.name}: {finding.plan} ({finding.call})"
            print(f"{where}: {breach['kind']}: {breach['seen']}", flush=True)
        if len(self.findings) % _REPORT_EVERY == 0:
            print(f"{self.name}: {len(self.findings)} of {self.planned} runs", flush=True)

    def _count(self, kind: str) -> int:
        return sum(any(breach["kind"] == kind for breach in one.breaches) for one in self.findings)


def main() -> int:
    options = _parse()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    parts = [Part("windowed", _plan_windowed(options)), Part("upserting", _plan_upserting(options))]
    for part in parts:
        part.walk(options.at_once)
    findings = [one for part in parts for one in part.findings]
    print(_format_table(findings))
    wrong = len([one for one in findings if one.breaches])
    print(f"{wrong} runs in which something did not hold, wrong colours and crashes included")
    print(f"{time.monotonic() - started:.0f} s, {sum(os.times()[:4]):.0f} CPU s")
    for part in parts:
        print(part.result())
    return 0 if all(part.is_whole for part in parts) else 1


def _plan_windowed(options: argparse.Namespace) -> list[tuple[Baseline, list[Plan]]]:
    one, two, bad, idle = record(1), record(2), record_bad_rows(), record_idle()
    every = _QUICK_EVERY if options.quick else 1
    number = options.pairs if options.pairs is not None else _QUICK_PAIRS if options.quick else _PAIRS
    return [
        (one, _plan_one(one, every, number, options.seed)),
        (two, pairs(len(two.calls), number, seed=options.seed + 1)),
        (bad, refused_rows(bad.calls, every=every)),
        (idle, all_single(len(idle.calls), every=every)),
    ]


def _plan_upserting(options: argparse.Namespace) -> list[tuple[Baseline, list[Plan]]]:
    """In the quick proof what differs from the windowed one: its load, in one run and in two, and what follows it."""
    one, two, idle = record(1, UPSERTING), record(2, UPSERTING), record_idle(UPSERTING)
    number = options.pairs if options.pairs is not None else _PAIRS
    if options.quick:
        return [
            (one, [*loading(one.calls, every=_QUICK_EVERY), *commits(one.calls)]),
            (two, loading(two.calls, every=2 * _QUICK_EVERY)),
            (idle, all_single(len(idle.calls), every=_QUICK_EVERY)),
        ]
    return [
        (one, _plan_one(one, 1, number, options.seed + 2)),
        (two, [*loading(two.calls), *pairs(len(two.calls), number, seed=options.seed + 3)]),
        (idle, all_single(len(idle.calls))),
    ]


def _plan_one(one: Baseline, every: int, number: int, seed: int) -> list[Plan]:
    return [
        *all_single(len(one.calls), every=every),
        *odd_livy(one.calls, every=every),
        *lost_and_late(one.calls),
        *pairs(len(one.calls), number, seed=seed),
    ]


def _kind_of(baseline: Baseline, plan: Plan) -> str:
    if baseline.bad_rows:
        return _BAD
    if baseline.idle:
        return _IDLE
    if plan.again is not None:
        return _PAIR
    return _ODD if plan.fault in ODD_LIVY else _SINGLE


def _format_table(findings: Sequence[Finding]) -> str:
    """Per fault: runs, red ones, retries, and the longest that any cluster was billed."""
    lines = [f"{'first fault':44} {'runs':>6} {'red':>6} {'retried':>8} {'longest billed':>15}"]
    for fault in (*FAULTS, *ODD_LIVY, *VISITS):
        mine = [one for one in findings if one.fault == fault.name]
        red, retried = Counter(one.red for one in mine)[True], sum(one.retried for one in mine)
        longest_s = max((one.longest_s for one in mine), default=0.0)
        lines.append(f"{fault.name:44} {len(mine):6} {red:6} {retried:8} {longest_s / 60:11.0f} min")
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Proves that nothing is left behind, touched or lost.")
    parser.add_argument("--quick", action="store_true", help="a part of the calls, for `make test`")
    parser.add_argument("--seed", type=int, default=1, help="which pairs of faults are drawn")
    parser.add_argument(
        "--pairs", type=int, default=None, help="pairs in one run, and as many in two at once"
    )
    parser.add_argument("--at-once", type=int, default=2, help="processes at a time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
