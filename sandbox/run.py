"""`run`: run a pipeline once, show its progress, and report the result."""

from __future__ import annotations

import contextlib
import json
import sys
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
from sandbox.inventory import leftovers, list_account
from sandbox.live import View, make_view
from sandbox.machine import spark_jars
from sandbox.progress import Snapshot, SparkProgress
from sandbox.report import RunFacts, build_report, is_green, summary
from sandbox.source import (
    Window,
    check_pipeline,
    check_source,
    choose_window,
    upload_generated,
    upload_source,
)
from sandbox.stack import Sandbox
from sandbox.state import ROOT, Running, Workspace, find_running, lock_run, lock_workspace

_POLL_S = 1.0  # each poll costs Airflow's API server tens of milliseconds
_DAG_TIMEOUT_S = 90.0
_LOG_LINES = 25
_FAILED = frozenset({"failed"})
_RETURNED = frozenset({"success", "failed"})  # a failing check returns its rows before it fails

Json = dict[str, Any]


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`."""

    pipeline: str
    window_start: date | None = None
    window_end: date | None = None
    source: Path | None = None
    rows: int | None = None
    report: Path | None = None
    html: Path | None = None
    keep: bool = False
    workers: int = 0  # Celery workers; 0 for a LocalExecutor


@dataclass(frozen=True)
class Target:
    """A running sandbox; `is_shared` if it is that of `up`, otherwise this command started it."""

    client: AirflowClient
    account: Account
    check: Callable[[], None]
    is_shared: bool


def run(options: RunOptions, workspace: Workspace, console: Console) -> int:
    """Run the pipeline; the exit code is 0 only if the run succeeded and left no resources behind."""
    check_pipeline(options.pipeline, workspace.dags)
    window = choose_window(options.pipeline, options.window_start, options.window_end)
    check_source(options.pipeline, options.source)
    view = make_view(console)
    with open_target(options, workspace, view) as target:
        report, tasks = _run_on(target, options, window, view, console)
        console.print("\n".join(summary(report, tasks)), markup=False, highlight=False, soft_wrap=True)
        write_report(report, options.report)
        _print_verdict(report, console)
        if options.keep and not target.is_shared:
            _keep_up(target, workspace, console)
    return 0 if is_green(report) else 1


@contextlib.contextmanager
def open_target(options: RunOptions, workspace: Workspace, view: View) -> Iterator[Target]:
    running = find_running(workspace)
    if running is not None and running.serves_runs:
        assert running.airflow_url
        assert running.user
        assert running.password
        _check_executor(options, running)
        with lock_run(workspace):
            view.log(f"Using the running sandbox (process {running.pid})")
            account = Account(running.aws_url)
            _upload(options, workspace, view, account)
            client = AirflowClient(running.airflow_url, running.user, running.password)
            yield Target(client, account, lambda: None, is_shared=True)
        return
    with lock_workspace(workspace, "run"):
        view.log("Starting AWS and Airflow")
        sandbox = Sandbox(workspace, "run", options.workers)
        try:
            sandbox.start(fresh=True, meanwhile=lambda account: _prepare(options, workspace, view, account))
            running = sandbox.running
            view.log(f"Airflow is up: {running.airflow_url} ({running.user} / {running.password})")
            yield Target(sandbox.client(), sandbox.account, sandbox.check, is_shared=False)
        finally:
            view.log("Stopping")
            sandbox.stop()


def _check_executor(options: RunOptions, running: Running) -> None:
    """Without --celery a run uses whatever runs; with it, the running sandbox has to have workers."""
    if options.workers and not running.workers:
        raise SandboxError(
            f"The running sandbox (process {running.pid}) runs tasks without Celery: leave out --celery, "
            "or stop it with `python -m sandbox down`"
        )


def _prepare(options: RunOptions, workspace: Workspace, view: View, account: Account) -> None:
    """What can be done while Airflow starts. From the second run on, Spark's jars are cached."""
    _upload(options, workspace, view, account)
    spark_jars()


def _upload(options: RunOptions, workspace: Workspace, view: View, account: Account) -> None:
    if options.source is not None:
        view.log(upload_source(account, options.pipeline, options.source))
    else:
        view.log(upload_generated(account, options.pipeline, options.rows, workspace.generated))


def _run_on(
    target: Target, options: RunOptions, window: Window, view: View, console: Console
) -> tuple[Json, list[TaskRun]]:
    client, dag_id = target.client, options.pipeline
    wait_for_dag(target, dag_id)
    since = target.account.calls_so_far()
    started = time.monotonic()
    run_id = client.trigger(dag_id, window.conf)
    view.log(f"Run {run_id} of {dag_id}, window {window.start} to {window.end}")
    try:
        with view:
            last = _watch(target, dag_id, run_id, view)
    except KeyboardInterrupt:
        if target.is_shared:
            client.fail_run(dag_id, run_id)
            view.log("The run is marked failed; its teardown continues in the running sandbox")
        raise
    wall_s = time.monotonic() - started
    calls = target.account.count_calls(since)
    facts = _facts(target, dag_id, run_id, last=last, wall_s=wall_s, calls=calls)
    if last.state != "success":
        print_failures(client, dag_id, run_id, last.tasks, console)
    if options.html is not None:
        _write_html(client, options, run_id, window, facts)
    return build_report(facts), list(last.tasks)


def wait_for_dag(target: Target, dag_id: str) -> None:
    deadline = time.monotonic() + _DAG_TIMEOUT_S
    while target.client.find_dag(dag_id) is None:
        target.check()
        errors = [error for error in target.client.import_errors() if f"{dag_id}.py" in error]
        if errors:
            raise SandboxError("Airflow cannot read a DAG file:\n" + "\n\n".join(errors))
        if time.monotonic() > deadline:
            raise SandboxError(
                f"Airflow did not find the DAG {dag_id!r} within {_DAG_TIMEOUT_S:.0f} s: "
                f"does {dag_id}.py define a DAG with this id?"
            )
        time.sleep(_POLL_S)


def _watch(target: Target, dag_id: str, run_id: str, view: View) -> Snapshot:
    spark = SparkProgress(target.account)
    while True:
        target.check()
        state = target.client.run(dag_id, run_id)["state"]
        tasks = tuple(target.client.tasks(dag_id, run_id))
        snapshot = Snapshot(state, tasks, spark.poll())
        view.show(snapshot)
        if snapshot.is_over:
            return snapshot
        time.sleep(_POLL_S)


def _facts(
    target: Target, dag_id: str, run_id: str, *, last: Snapshot, wall_s: float, calls: dict[str, int]
) -> RunFacts:
    """Collect the report's content; lists the account."""
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
        leftovers=[*(item.as_json() for item in leftovers(found)), *own.get("left", ())],
        kept=own.get("kept") or [item.as_json() for item in found if item.kept],
        calls=calls,
    )


def print_failures(
    client: AirflowClient, dag_id: str, run_id: str, tasks: tuple[TaskRun, ...], console: Console
) -> None:
    for task in tasks:
        if task.state in _FAILED:
            lines = [
                f"\n{task.name} failed. The end of its log:",
                *client.log(dag_id, run_id, task)[-_LOG_LINES:],
            ]
            console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def write_report(report: Json, path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2, default=str) + "\n")


def _write_html(
    client: AirflowClient, options: RunOptions, run_id: str, window: Window, facts: RunFacts
) -> None:
    assert options.html is not None
    sys.path.append(str(ROOT / "plugins"))  # the page is the library's
    from sandbox.html_report import HtmlReport

    page = HtmlReport(client, options.pipeline, run_id, f"{window.start} to {window.end}")
    page.write(facts, options.html)


def _print_verdict(report: Json, console: Console) -> None:
    colour = "green" if report["state"] == "success" else "red"
    count = len(report["inventory"])
    behind = f"{count} resources are left behind" if count else "nothing is left behind"
    console.print(f"\nThe run is {colour} after {report['wall_s']:.0f} s; {behind}.", highlight=False)


def _keep_up(target: Target, workspace: Workspace, console: Console) -> None:
    running = find_running(workspace)
    assert running is not None
    console.print(
        f"The sandbox stays up: {running.airflow_url} (user {running.user}, password {running.password}). "
        "Ctrl-C stops it.",
        markup=False,
        highlight=False,
    )
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C does not change the exit code, which is the run's
        while True:
            target.check()
            time.sleep(1)
