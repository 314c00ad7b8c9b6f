"""The commands `up`, `down`, `status` and `inventory`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

from sandbox.account import Account
from sandbox.errors import SandboxError
from sandbox.inventory import leftovers, list_account
from sandbox.report import table
from sandbox.stack import Aws, Sandbox
from sandbox.state import Workspace, find_running, lock_workspace, stop_running

_CHECK_S = 1.0


def up(workspace: Workspace, console: Console, workers: int = 0) -> int:
    """Run AWS and Airflow until Ctrl-C or `down`. S3 and the snapshots of the last time are kept.

    With `workers` that many Celery workers run the tasks. An Airflow component that dies is restarted, as the
    supervisor of a deployment would do.
    """
    with lock_workspace(workspace, "up"):
        sandbox = Sandbox(workspace, "up", workers)
        _print(console, "Starting AWS and Airflow")
        try:
            sandbox.start(fresh=False)
            running = sandbox.running
            _print(
                console,
                f"Airflow   {running.airflow_url}   user {running.user}   password {running.password}",
            )
            _print(console, f"AWS       {running.aws_url}   (keys: anything)")
            if workers:
                _print(
                    console,
                    f"Celery    {workers} {'worker' if workers == 1 else 'workers'}, through RabbitMQ",
                )
            _print(console, "Ctrl-C, or `python -m sandbox down` in another terminal, stops it")
            while True:
                for line in sandbox.supervise():
                    _print(console, line)
                time.sleep(_CHECK_S)
        finally:
            _print(console, "Stopping")
            sandbox.stop()


def down(workspace: Workspace, console: Console) -> int:
    """Stop the running sandbox; it is no error if none runs."""
    stopped = stop_running(workspace)
    _print(
        console,
        f"Stopped `{stopped.command}` (process {stopped.pid})" if stopped else "No sandbox is running",
    )
    return 0


def status(workspace: Workspace, console: Console) -> int:
    """Show the running sandbox and what its account holds; the exit code is 3 if none runs, 1 if AWS is down."""
    running = find_running(workspace)
    if running is None:
        _print(console, "No sandbox is running")
        return 3
    minutes = (time.time() - running.started) / 60
    _print(console, f"`{running.command}` has been running for {minutes:.0f} min (process {running.pid})")
    if running.airflow_url:
        _print(
            console, f"Airflow   {running.airflow_url}   user {running.user}   password {running.password}"
        )
    else:
        _print(console, "Airflow   is starting")
    account = Account(running.aws_url)
    if not account.is_up():
        _print(console, f"AWS       {running.aws_url}   does not respond")
        return 1
    _print(console, f"AWS       {running.aws_url}")
    for item in list_account(account):
        _print(console, f"          {item}")
    return 0


def inventory(workspace: Workspace, console: Console) -> int:
    """List Mayfly's resources in the account; the exit code is 1 if there are leftovers."""
    with open_account(workspace, "inventory") as account:
        found = list_account(account)
    rows = [[item.kind, item.name, item.state, "kept" if item.kept else "LEFT"] for item in found]
    for line in table(["kind", "name", "state", ""], rows) if rows else ["There are no resources of Mayfly"]:
        _print(console, line)
    return 1 if leftovers(found) else 0


@contextlib.contextmanager
def open_account(workspace: Workspace, command: str) -> Iterator[Account]:
    """The account of the running sandbox; if none runs, AWS alone is started on the stored S3 and snapshots."""
    running = find_running(workspace)
    if running is not None:
        account = Account(running.aws_url)
        if not account.is_up():
            raise SandboxError(
                f"The AWS of the running sandbox (process {running.pid}) does not respond yet: try again in a moment"
            )
        yield account
        return
    with lock_workspace(workspace, command):
        aws = Aws(workspace)
        try:
            aws.start(fresh=False)
            yield aws.account
        finally:
            aws.stop()


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
