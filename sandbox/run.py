"""`run`: one run of one pipeline, watched to its end, told and judged."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from sandbox.account import Account
from sandbox.airflow.client import AirflowClient, TaskRun
from sandbox.errors import SandboxError
from sandbox.inventory import left, list_account
from sandbox.live import View, make_view
from sandbox.machine import spark_jars
from sandbox.progress import Snapshot, SparkProgress
from sandbox.report import RunFacts, build_report, is_green, summary
from sandbox.source import Window, bring_generated, bring_source, check_pipeline, check_source, choose_window
from sandbox.stack import Sandbox
from sandbox.state import Place, find_running, hold, hold_run

_POLL_S = 1.0  # each look costs Airflow's API server tens of milliseconds
_DAG_TIMEOUT_S = 90.0
_LOG_LINES = 25
_FAILED = frozenset({"failed"})
_RETURNED = frozenset({"success", "failed"})  # a failing check tells its rows before it fails

Json = dict[str, Any]


@dataclass(frozen=True)
class RunOptions:
    """What `run` was asked for."""

    pipeline: str
    window_start: date | None = None
    window_end: date | None = None
    source: Path | None = None
    rows: int | None = None
    report: Path | None = None
    keep: bool = False


@dataclass(frozen=True)
class Target:
    """A sandbox that is up: its own, or the one of `up`."""

    client: AirflowClient
    account: Account
    check: Callable[[], None]
    is_borrowed: bool


def run(options: RunOptions, place: Place, console: Console) -> int:
    """Do it; the exit code is 0 only where the run is green and nothing is left of it."""
    check_pipeline(options.pipeline, place.dags)
    window = choose_window(options.pipeline, options.window_start, options.window_end)
    check_source(options.pipeline, options.source)
    view = make_view(console)
    with _target(options, place, view) as target:
        report, tasks = _run_on(target, options.pipeline, window, view, console)
        console.print("\n".join(summary(report, tasks)), markup=False, highlight=False, soft_wrap=True)
        _write_report(report, options.report)
        _tell_verdict(report, console)
        if options.keep and not target.is_borrowed:
            _wait_for_the_end(target, place, console)
    return 0 if is_green(report) else 1


@contextlib.contextmanager
def _target(options: RunOptions, place: Place, view: View) -> Iterator[Target]:
    running = find_running(place)
    if running is not None and running.serves_runs:
        assert running.airflow_url
        assert running.user
        assert running.password
        with hold_run(place):
            view.tell(f"Using the sandbox that is up (process {running.pid})")
            account = Account(running.aws_url)
            _bring(options, place, view, account)
            client = AirflowClient(running.airflow_url, running.user, running.password)
            yield Target(client, account, lambda: None, is_borrowed=True)
        return
    with hold(place, "run"):
        view.tell("Starting AWS and Airflow")
        sandbox = Sandbox(place, "run")
        try:
            sandbox.start(fresh=True, meanwhile=lambda account: _prepare(options, place, view, account))
            running = sandbox.running
            view.tell(f"Airflow is up: {running.airflow_url} ({running.user} / {running.password})")
            yield Target(sandbox.client(), sandbox.account, sandbox.check, is_borrowed=False)
        finally:
            view.tell("Stopping")
            sandbox.stop()


def _prepare(options: RunOptions, place: Place, view: View, account: Account) -> None:
    """What can be done while Airflow boots; the jars are there from the second run on."""
    _bring(options, place, view, account)
    spark_jars()


def _bring(options: RunOptions, place: Place, view: View, account: Account) -> None:
    if options.source is not None:
        view.tell(bring_source(account, options.pipeline, options.source))
    else:
        view.tell(bring_generated(account, options.pipeline, options.rows, place.generated))


def _run_on(
    target: Target, dag_id: str, window: Window, view: View, console: Console
) -> tuple[Json, list[TaskRun]]:
    client = target.client
    _wait_for_dag(target, dag_id)
    since = target.account.calls_so_far()
    begun = time.monotonic()
    run_id = client.trigger(dag_id, window.conf)
    view.tell(f"Run {run_id} of {dag_id}, window {window.start} to {window.end}")
    try:
        with view:
            last = _watch(target, dag_id, run_id, view)
    except KeyboardInterrupt:
        if target.is_borrowed:
            client.fail_run(dag_id, run_id)
            view.tell("The run is marked failed; its teardown goes on in the sandbox that is up")
        raise
    wall_s = time.monotonic() - begun
    calls = target.account.count_calls(since)
    facts = _facts(target, dag_id, run_id, last=last, wall_s=wall_s, calls=calls)
    if last.state != "success":
        _tell_failures(client, dag_id, run_id, last.tasks, console)
    return build_report(facts), list(last.tasks)


def _wait_for_dag(target: Target, dag_id: str) -> None:
    deadline = time.monotonic() + _DAG_TIMEOUT_S
    while target.client.find_dag(dag_id) is None:
        target.check()
        errors = [error for error in target.client.import_errors() if f"{dag_id}.py" in error]
        if errors:
            raise SandboxError("Airflow cannot read a DAG file:\n" + "\n\n".join(errors))
        if time.monotonic() > deadline:
            raise SandboxError(
                f"Airflow did not find the DAG {dag_id!r} within {_DAG_TIMEOUT_S:.0f} s: "
                f"is the DAG in its file called so?"
            )
        time.sleep(_POLL_S)


def _watch(target: Target, dag_id: str, run_id: str, view: View) -> Snapshot:
    spark = SparkProgress(target.account)
    while True:
        target.check()
        state = target.client.run(dag_id, run_id)["state"]
        tasks = tuple(target.client.tasks(dag_id, run_id))
        snapshot = Snapshot(state, tasks, spark.look())
        view.show(snapshot)
        if snapshot.is_over:
            return snapshot
        time.sleep(_POLL_S)


def _facts(
    target: Target, dag_id: str, run_id: str, *, last: Snapshot, wall_s: float, calls: dict[str, int]
) -> RunFacts:
    """What the report is made of; the account is listed now."""
    results = {
        task.name: result
        for task in last.tasks
        if task.state in _RETURNED and (result := target.client.result(dag_id, run_id, task)) is not None
    }
    found = list_account(target.account)
    own = results.get("release.inventory")
    own = own if isinstance(own, dict) else {}
    return RunFacts(
        state=last.state,
        wall_s=wall_s,
        tasks=last.tasks,
        results=results,
        left=[*(item.as_json() for item in left(found)), *own.get("left", ())],
        kept=own.get("kept") or [item.as_json() for item in found if item.kept],
        calls=calls,
    )


def _tell_failures(
    client: AirflowClient, dag_id: str, run_id: str, tasks: tuple[TaskRun, ...], console: Console
) -> None:
    for task in tasks:
        if task.state in _FAILED:
            lines = [
                f"\n{task.name} failed. The end of its log:",
                *client.log(dag_id, run_id, task)[-_LOG_LINES:],
            ]
            console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _write_report(report: Json, path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2, default=str) + "\n")


def _tell_verdict(report: Json, console: Console) -> None:
    word = "green" if report["state"] == "success" else "red"
    left_over = (
        f"{len(report['inventory'])} things are left behind" if report["inventory"] else "nothing is left"
    )
    console.print(f"\nThe run is {word} after {report['wall_s']:.0f} s; {left_over}.", highlight=False)


def _wait_for_the_end(target: Target, place: Place, console: Console) -> None:
    running = find_running(place)
    assert running is not None
    console.print(
        f"The sandbox stays up: {running.airflow_url} (user {running.user}, password {running.password}). "
        "Ctrl-C ends it.",
        markup=False,
        highlight=False,
    )
    with contextlib.suppress(KeyboardInterrupt):  # the exit code stays the run's
        while True:
            target.check()
            time.sleep(1)
