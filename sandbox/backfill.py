"""`backfill`: create a backfill in Airflow, watch its runs, and tell what they did and what clusters they cost."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from sandbox.airflow.client import AirflowClient, Backfill
from sandbox.errors import SandboxError
from sandbox.inventory import leftovers, list_account
from sandbox.live import View, make_view
from sandbox.report import RunFacts, build_report
from sandbox.run import RunOptions, Target, open_target, print_failures, wait_for_dag, write_report
from sandbox.source import check_pipeline, check_source
from sandbox.state import Workspace

# Bridges the time between two runs that do not overlap: Airflow begins the next one within seconds of the one before.
KEEP_ALIVE_S = 600
REPROCESS = ("none", "failed", "completed")

_POLL_S = 1.0
_OVER = frozenset({"success", "failed"})
_BEGINS = frozenset({"RunJobFlow", "CreateCluster", "RestoreFromClusterSnapshot"})
_ENDS = frozenset({"TerminateJobFlows", "DeleteCluster"})
_KINDS = {"elasticmapreduce": "emr", "redshift": "redshift"}

Json = dict[str, Any]


@dataclass(frozen=True)
class BackfillOptions:
    """The options of `backfill`; the days `first` to `last` are both loaded."""

    pipeline: str
    first: date
    last: date
    max_active_runs: int = 1
    backwards: bool = False
    reprocess: str = "none"
    force: bool = False
    keep_alive_s: int = KEEP_ALIVE_S
    source: Path | None = None
    rows: int | None = None
    report: Path | None = None

    @property
    def wanted(self) -> Backfill:
        return Backfill(
            dag_id=self.pipeline,
            first=self.first,
            last=self.last,
            max_active_runs=self.max_active_runs,
            backwards=self.backwards,
            reprocess=self.reprocess,
            conf={"force": True} if self.force else None,
        )


@dataclass(frozen=True)
class ClusterUse:
    """How many clusters of a kind were made, and for how many seconds any was there: what AWS bills."""

    made: int = 0
    seconds: float = 0.0


def backfill(options: BackfillOptions, workspace: Workspace, console: Console) -> int:
    """Run the backfill; the exit code is 0 only if every run of it succeeded and nothing is left behind."""
    check_pipeline(options.pipeline, workspace.dags)
    if options.last < options.first:
        raise SandboxError(f"--to ({options.last}) is before --from ({options.first}): swap the two")
    check_source(options.pipeline, options.source)
    view = make_view(console)
    place = RunOptions(options.pipeline, source=options.source, rows=options.rows)
    with open_target(place, workspace, view) as target:
        wait_for_dag(target, options.pipeline)
        with _kept_alive(target.client, options.keep_alive_s):
            report = _backfill_on(target, options.wanted, view, console)
        write_report(report, options.report)
    return 0 if report["state"] == "success" and not report["inventory"] else 1


def use_of_clusters(calls: Sequence[Mapping[str, Any]]) -> dict[str, ClusterUse]:
    """By kind (emr, redshift), what the accepted ones of these logged calls made, until it was asked to end."""
    made, alive = dict.fromkeys(_KINDS.values(), 0), dict.fromkeys(_KINDS.values(), 0)
    seconds, since = dict.fromkeys(_KINDS.values(), 0.0), dict.fromkeys(_KINDS.values(), 0.0)
    for call in calls:
        kind = _KINDS.get(call["service"])
        if kind is None or call["status"] >= 300 or call["action"] not in _BEGINS | _ENDS:
            continue
        seconds[kind] += alive[kind] * (call["time"] - since[kind])
        since[kind] = call["time"]
        if call["action"] in _BEGINS:
            made[kind] += 1
            alive[kind] += 1
        else:
            alive[kind] = max(alive[kind] - 1, 0)
    return {kind: ClusterUse(made[kind], round(seconds[kind], 1)) for kind in made}


def describe_run(run: Mapping[str, Any], report: Mapping[str, Any]) -> Json:
    """One run of the backfill: its window, its state, and in words what it did."""
    return {
        "run_id": run["dag_run_id"],
        "window": [_day(run["data_interval_start"]), _day(run["data_interval_end"])],
        "state": run["state"],
        "did": _what_was_done(report),
        "start": run["start_date"],
        "end": run["end_date"],
    }


def _what_was_done(report: Mapping[str, Any]) -> str:
    if report["nothing_to_do"]:
        return str(report["nothing_to_do"])
    loaded = [
        f"{table['rows']} rows in {name}" for name, table in report["tables"].items() if "rows" in table
    ]
    return f"loaded {', '.join(loaded)}" if loaded else "loaded nothing"


def _day(moment: str | None) -> str:
    return (moment or "?")[:10]


@contextlib.contextmanager
def _kept_alive(client: AirflowClient, keep_alive_s: int) -> Iterator[None]:
    """Let clusters outlive a run that is not the last by so long, until the body ends."""
    before = client.variable("mayfly")
    client.set_variable("mayfly", json.dumps({**json.loads(before), "keep_alive_s": keep_alive_s}, indent=2))
    try:
        yield
    finally:
        with contextlib.suppress(SandboxError):  # an Airflow that ended needs it no more
            client.set_variable("mayfly", before)


def _backfill_on(target: Target, wanted: Backfill, view: View, console: Console) -> Json:
    client, since = target.client, target.account.calls_so_far()
    days = client.plan_backfill(wanted)
    started = time.monotonic()
    done: list[Json] = []
    if days:
        backfill_id = client.create_backfill(wanted)
        view.log(f"Backfill {backfill_id} of {wanted.dag_id}: {len(days)} runs")
        try:
            done = _watch(target, wanted.dag_id, frozenset(days), view, console)
        finally:
            # The end of an interrupted one. Else it is over, which Airflow itself would find out within 30 s; until
            # then it takes no other backfill of the DAG.
            with contextlib.suppress(SandboxError):
                client.cancel_backfill(backfill_id)
    else:
        view.log("Each of these days has a run: --reprocess says which are to be done again")
    report = {
        "state": "success" if all(run["state"] == "success" for run in done) else "failed",
        "wall_s": round(time.monotonic() - started, 3),
        "runs": done,
        "clusters": {kind: asdict(use) for kind, use in _use_since(target, since).items()},
        "inventory": [item.as_json() for item in leftovers(list_account(target.account))],
        "calls": target.account.count_calls(since),
    }
    console.print("\n".join(summary(report)), markup=False, highlight=False, soft_wrap=True)
    return report


def _use_since(target: Target, since: int) -> dict[str, ClusterUse]:
    return use_of_clusters(target.account.list_calls(since))


def _watch(target: Target, dag_id: str, days: frozenset[str], view: View, console: Console) -> list[Json]:
    """Show each run's begin and end; returns what each did, in the order of their ends."""
    begun: set[str] = set()
    done: dict[str, Json] = {}
    while len(done) < len(days):
        target.check()
        for run in target.client.runs(dag_id):
            run_id = run["dag_run_id"]
            if run["logical_date"] not in days or run_id in done:
                continue
            if run["state"] != "queued" and run_id not in begun:
                begun.add(run_id)
                view.log(f"{_day(run['data_interval_start'])}: begins")
            if run["state"] in _OVER:
                done[run_id] = _look_back(target.client, dag_id, run, console)
                view.log(f"{done[run_id]['window'][0]}: {run['state']}, {done[run_id]['did']}")
        time.sleep(_POLL_S)
    return list(done.values())


def _look_back(client: AirflowClient, dag_id: str, run: Json, console: Console) -> Json:
    run_id = run["dag_run_id"]
    tasks = tuple(client.tasks(dag_id, run_id))
    results = {
        task.name: result
        for task in tasks
        if task.state in _OVER and (result := client.result(dag_id, run_id, task)) is not None
    }
    if run["state"] == "failed":
        print_failures(client, dag_id, run_id, tasks, console)
    return describe_run(run, build_report(RunFacts(run["state"], 0.0, tasks, results)))


def summary(report: Mapping[str, Any]) -> list[str]:
    """The backfill as text: a line a run, the clusters, what is left, the verdict."""
    lines = ["", "Runs"]
    lines += [
        f"  {start} to {end}  {run['state']:8}{run['did']}"
        for run in sorted(report["runs"], key=lambda run: run["window"])
        for start, end in [run["window"]]
    ]
    lines += ["", "Clusters"]
    lines += [
        f"  {kind:10}{use['made']} made, {use['seconds']:.0f} s" for kind, use in report["clusters"].items()
    ]
    lines += [f"  left behind: {item['kind']} {item['name']}" for item in report["inventory"]]
    red = sum(run["state"] != "success" for run in report["runs"])
    verdict = f"{red} of {len(report['runs'])} runs are red" if red else "The backfill is green"
    behind = (
        f"{len(report['inventory'])} resources are left behind"
        if report["inventory"]
        else "nothing is left behind"
    )
    return [*lines, "", f"{verdict} after {report['wall_s']:.0f} s; {behind}."]
