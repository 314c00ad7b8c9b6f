"""The clean walk, forked at every call: a child lives on from there under its trouble, its parent without.

So what comes before a call is walked once, and not once for every trouble. Children tell what they found by a pipe.
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

from tests.proof.troubles import Trouble
from tests.world import World
from tests.world.wire import Call, Fault

_CHILD_S = 120  # a child that takes so long hangs


@dataclass(frozen=True)
class Plan:
    """Which trouble befalls call `at` of the clean walk, and `again` how many calls later which other one."""

    at: int
    trouble: Trouble
    again: tuple[int, Trouble] | None = None

    def __str__(self) -> str:
        second = f", and {self.again[1].name} {self.again[0]} calls later" if self.again else ""
        return f"{self.trouble.name} at call {self.at}{second}"


@dataclass(frozen=True)
class Finding:
    """What came of a branch: the call and trouble, what does not hold, and figures."""

    plan: str
    call: str
    trouble: str
    breaches: list[dict[str, str]] = field(default_factory=list)
    red: bool = False
    retried: bool = False
    longest_s: float = 0.0


class Forks:
    """An ambush on a world's wire that forks off each planned branch, `at_once` at a time."""

    def __init__(
        self, world: World, plans: Sequence[Plan], tell: Callable[[Finding], None], at_once: int
    ) -> None:
        self._world, self._tell, self._at_once = world, tell, at_once
        self._first_call = len(world.wire.calls)
        self._plans: dict[int, list[Plan]] = {}
        for plan in plans:
            self._plans.setdefault(plan.at, []).append(plan)
        self._children: dict[int, tuple[int, Finding]] = {}
        self.plan: Plan | None = None  # in a child: the branch it is
        self._mine: Finding | None = None
        self._pipe = -1

    def __call__(self, call: Call) -> Fault | None:
        """Wire's ambush. In the parent no trouble ever befalls the call."""
        for plan in self._plans.pop(call.number - self._first_call, ()):
            while len(self._children) >= self._at_once:
                self._reap()
            if self._fork(plan, call):
                self._world.wire.choose_fault = _Second(self, call, plan)
                return self.strike(plan.trouble, call)
        return None

    def strike(self, trouble: Trouble, call: Call) -> Fault | None:
        """In a child: let a trouble loose. A mistake of our own must not pass for one of the product's."""
        try:
            return trouble.strike(self._world, call)
        except Exception as error:
            self.fail(error)
            raise

    def finish(self, **found: Any) -> None:
        """In a child: tell what was found, and end. In the parent: wait for all children."""
        if self._mine is not None:
            told = {**asdict(self._mine), **found}
            with os.fdopen(self._pipe, "w") as pipe:
                json.dump(told, pipe)
            sys.stdout.flush()
            os._exit(0)
        while self._children:
            self._reap()

    def fail(self, error: BaseException) -> None:
        """As `finish`, where the story itself could not be told; in the parent, who ends its children, raise."""
        if self._mine is None:
            for child in self._children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            raise error
        trace = "".join(traceback.format_exception(error))
        self.finish(breaches=[{"kind": "crash", "seen": trace[-3000:]}])

    def _fork(self, plan: Plan, call: Call) -> bool:
        """Whether this is the child."""
        finding = Finding(str(plan), str(call), plan.trouble.name)
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

    def _reap(self) -> None:
        child, status = os.wait()
        reader, finding = self._children.pop(child)
        with os.fdopen(reader) as pipe:
            told = pipe.read()
        if told:
            self._tell(Finding(**json.loads(told)))
            return
        crash = {"kind": "crash", "seen": f"the child ended with {status} and told nothing"}
        self._tell(Finding(finding.plan, finding.call, finding.trouble, [crash]))


class _Second:
    """In a child: the ambush for the second trouble, if there is one."""

    def __init__(self, forks: Forks, first: Call, plan: Plan) -> None:
        self._forks, self._again = forks, plan.again
        self._at = first.number + (plan.again[0] if plan.again else 0)

    def __call__(self, call: Call) -> Fault | None:
        if self._again is None or call.number < self._at:
            return None
        (_, trouble), self._again = self._again, None
        return self._forks.strike(trouble, call)
