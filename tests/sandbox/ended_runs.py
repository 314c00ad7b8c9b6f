"""What the tests that interfere with runs check once a run is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live_runs import LiveRuns
from nets import unused_net
from sandbox_process import ROOT, SandboxProcess


@dataclass(frozen=True)
class Ended:
    """A finished run: what it did, and what the account held at its end; `seen` holds the test's own observations."""

    run_id: str
    state: str
    tries: dict[str, int]
    calls: dict[str, int]
    left: list[str]
    tables: list[list[Any]] | None
    seen: dict[str, Any]

    def called(self, name: str) -> int:
        """How often Mayfly's principal called `service.action` between the run's start and its end."""
        return self.calls.get(name, 0)

    @property
    def tried_again(self) -> set[str]:
        """Tasks with more than one try.

        On an overloaded machine Airflow may add some: if a trigger fires before the scheduler has seen the deferral,
        Airflow takes the resumed task for a killed one (`operators.step`).
        """
        return {task for task, tries in self.tries.items() if tries > 1}


def end(runs: LiveRuns, run_id: str, since: int, **seen: Any) -> Ended:
    """Wait for the run's end and describe it; its tables are read if it succeeded."""
    state = runs.wait_for_run(run_id)
    calls = runs.calls(since)
    return Ended(
        run_id=run_id,
        state=state,
        tries=runs.tries(run_id),
        calls=calls,
        left=runs.left(),
        tables=runs.tables() if state == "success" else None,
        seen=seen,
    )


def run_to_its_end(runs: LiveRuns, run_id: str) -> Ended:
    """Trigger a run and wait for its end without interfering."""
    since = runs.account.calls_so_far()
    return end(runs, runs.trigger(run_id=run_id), since)


def sandbox_with_source(home: Path, *options: str, dags: Path = ROOT / "dags") -> Iterator[LiveRuns]:
    """The body of a module's fixture: a running sandbox with generated source files; `options` are those of `up`."""
    sandbox = SandboxProcess(home, net=unused_net(), dags=dags)
    with sandbox.up(*options):
        live = LiveRuns(sandbox)
        live.put_source()
        yield live
