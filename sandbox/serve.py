"""`up`, `down`, `status` and `inventory`: the sandbox as something that runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

from sandbox.account import Account
from sandbox.errors import SandboxError
from sandbox.inventory import left, list_account
from sandbox.report import table
from sandbox.stack import Aws, Sandbox
from sandbox.state import Place, find_running, hold, stop_running

_CHECK_S = 1.0


def up(place: Place, console: Console) -> int:
    """Everything, until Ctrl-C or `down`; S3 and the warehouse's snapshots are those of the last time.

    A component of Airflow that dies is started again, as a deployment's supervisor would.
    """
    with hold(place, "up"):
        sandbox = Sandbox(place, "up")
        _say(console, "Starting AWS and Airflow")
        try:
            sandbox.start(fresh=False)
            running = sandbox.running
            _say(
                console,
                f"Airflow   {running.airflow_url}   user {running.user}   password {running.password}",
            )
            _say(console, f"AWS       {running.aws_url}   (keys: anything)")
            _say(console, "Ctrl-C, or `python -m sandbox down` from elsewhere, stops it")
            while True:
                for line in sandbox.supervise():
                    _say(console, line)
                time.sleep(_CHECK_S)
        finally:
            _say(console, "Stopping")
            sandbox.stop()


def down(place: Place, console: Console) -> int:
    """Stop what runs; nothing running is fine."""
    stopped = stop_running(place)
    _say(
        console,
        f"Stopped `{stopped.command}` (process {stopped.pid})" if stopped else "No sandbox is running",
    )
    return 0


def status(place: Place, console: Console) -> int:
    """What runs, and what is in its account; exit code 3 where nothing runs."""
    running = find_running(place)
    if running is None:
        _say(console, "No sandbox is running")
        return 3
    minutes = (time.time() - running.started) / 60
    _say(console, f"`{running.command}` runs for {minutes:.0f} min (process {running.pid})")
    if running.airflow_url:
        _say(console, f"Airflow   {running.airflow_url}   user {running.user}   password {running.password}")
    else:
        _say(console, "Airflow   is starting")
    account = Account(running.aws_url)
    if not account.is_up():
        _say(console, f"AWS       {running.aws_url}   does not answer")
        return 1
    _say(console, f"AWS       {running.aws_url}")
    for item in list_account(account):
        _say(console, f"          {item}")
    return 0


def inventory(place: Place, console: Console) -> int:
    """Everything of ours in the account; exit code 1 where something is left that should not be."""
    with account_of(place, "inventory") as account:
        found = list_account(account)
    rows = [[item.kind, item.name, item.state, "kept" if item.kept else "LEFT"] for item in found]
    for line in table(["kind", "name", "state", ""], rows) if rows else ["Nothing of Mayfly's exists"]:
        _say(console, line)
    return 1 if left(found) else 0


@contextlib.contextmanager
def account_of(place: Place, command: str) -> Iterator[Account]:
    """The account of the sandbox that runs; else one started for this, with what S3 and snapshots hold."""
    running = find_running(place)
    if running is not None:
        account = Account(running.aws_url)
        if not account.is_up():
            raise SandboxError(
                f"The sandbox (process {running.pid}) is still starting: try again in a moment"
            )
        yield account
        return
    with hold(place, command):
        aws = Aws(place)
        try:
            aws.start(fresh=False)
            yield aws.account
        finally:
            aws.stop()


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
