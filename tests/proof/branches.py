"""The baseline, forked at every call: a child lives on from there under its fault, its parent without.

So what comes before a call is walked once, and not once for every fault. Children report what they found through
a pipe.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.proof.faults import InjectedFault
from tests.world import World
from tests.world.wire import Call, Fault

_CHILD_S = 120  # a child that takes so long hangs


@dataclass(frozen=True)
class Plan:
    """Which fault call `at` meets of the baseline, and with `again` which other one so many calls later."""

    at: int
    fault: InjectedFault
    again: tuple[int, InjectedFault] | None = None

    def __str__(self) -> str:
        second = f", and {self.again[1].name} {self.again[0]} calls later" if self.again else ""
        return f"{self.fault.name} at call {self.at}{second}"


@dataclass(frozen=True)
class Finding:
    """What came of a branch: the call and fault, what does not hold, and figures."""

    plan: str
    call: str
    fault: str
    breaches: list[dict[str, str]] = field(default_factory=list)
    red: bool = False
    retried: bool = False
    longest_s: float = 0.0


class Forks:
    """The `choose_fault` of a wire: forks off each planned branch, `at_once` at a time."""

    def __init__(
        self, world: World, plans: Sequence[Plan], report: Callable[[Finding], None], at_once: int
    ) -> None:
        self._world, self._report, self._at_once = world, report, at_once
        self._first_call = len(world.wire.calls)
        self._plans: dict[int, list[Plan]] = {}
        for plan in plans:
            self._plans.setdefault(plan.at, []).append(plan)
        self._children: dict[int, tuple[int, Finding]] = {}
        self.plan: Plan | None = None  # in a child: the branch it is
        self._mine: Finding | None = None
        self._pipe = -1

    def __call__(self, call: Call) -> Fault | None:
        """For `Wire.choose_fault`: in the parent no call ever meets a fault."""
        for plan in self._plans.pop(call.number - self._first_call, ()):
            while len(self._children) >= self._at_once:
                self._collect()
            if self._fork(plan, call):
                self._world.wire.choose_fault = _SecondFault(self, call, plan)
                return self.inject(plan.fault, call)
        return None

    def inject(self, fault: InjectedFault, call: Call) -> Fault | None:
        """In a child: inject a fault. A mistake of our own must not pass for one of the product's."""
        try:
            return fault.inject(self._world, call)
        except Exception as error:
            self.fail(error)
            raise

    def finish(self, **found: Any) -> None:
        """In a child: report what was found, and end. In the parent: wait for all children."""
        if self._mine is not None:
            report = {**asdict(self._mine), **found}
            with os.fdopen(self._pipe, "w") as pipe:
                json.dump(report, pipe)
            sys.stdout.flush()
            os._exit(0)
        while self._children:
            self._collect()

    def fail(self, error: BaseException) -> None:
        """As `finish`, where the scenario itself broke; in the parent, who ends its children, raise."""
        if self._mine is None:
            for child in self._children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            raise error
        trace = "".join(traceback.format_exception(error))
        self.finish(breaches=[{"kind": "crash", "seen": trace[-3000:]}])

    def _fork(self, plan: Plan, call: Call) -> bool:
        """Whether this is the child."""
        finding = Finding(str(plan), str(call), plan.fault.name)
        reader, writer = os.pipe()
        child = os.fork()
        if child:
            os.close(writer)
            self._children[child] = (reader, finding)
            return False
        os.close(reader)
        signal.alarm(_CHILD_S)
        gc.disable()  # a child's life is short, and collecting would copy the parent's memory
        self._children, self._plans = {}, {}
        self.plan, self._mine, self._pipe = plan, finding, writer
        return True

    def _collect(self) -> None:
        child, status = os.wait()
        reader, finding = self._children.pop(child)
        with os.fdopen(reader) as pipe:
            report = pipe.read()
        if report:
            self._report(Finding(**json.loads(report)))
            return
        crash = {"kind": "crash", "seen": f"the child ended with {status} and reported nothing"}
        self._report(Finding(finding.plan, finding.call, finding.fault, [crash]))


class _SecondFault:
    """In a child: `choose_fault` for the second fault, if there is one."""

    def __init__(self, forks: Forks, first: Call, plan: Plan) -> None:
        self._forks, self._again = forks, plan.again
        self._at = first.number + (plan.again[0] if plan.again else 0)

    def __call__(self, call: Call) -> Fault | None:
        if self._again is None or call.number < self._at:
            return None
        (_, fault), self._again = self._again, None
        return self._forks.inject(fault, call)
