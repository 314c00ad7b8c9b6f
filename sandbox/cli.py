"""The commands of `python -m sandbox`, as argparse reads them."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from sandbox.addresses import Addresses
from sandbox.airflow.configuration import NO_FOREIGN_AWS
from sandbox.errors import SandboxError
from sandbox.state import Place

_INTERRUPTED = 130
_FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code is 2 where the sandbox itself failed, 130 where it was stopped."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        return _dispatch(options, Place.from_environment(), Console())
    except SandboxError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return _INTERRUPTED


def main_of_process() -> int:
    """`python -m sandbox`: `main`, in a process that is the sandbox's own."""
    try:
        settle_process()
    except SandboxError as error:
        return _tell(error)
    return main()


def _tell(error: SandboxError) -> int:
    print(f"sandbox: {error}", file=sys.stderr)
    return _FAILED


def _dispatch(options: argparse.Namespace, place: Place, console: Console) -> int:
    # Imported here: boto3 and psycopg2 take longer to import than `--help` should take.
    if options.command == "run":
        from sandbox.run import RunOptions, run

        wanted = RunOptions(
            pipeline=options.pipeline,
            window_start=options.window_start,
            window_end=options.window_end,
            source=options.source.resolve() if options.source else None,
            rows=options.rows,
            report=options.report,
            keep=options.keep,
        )
        return run(wanted, place, console)
    if options.command == "sql":
        from sandbox.ask import ask

        return ask(
            place, console, pipeline=options.pipeline, statement=options.statement, as_json=options.json
        )
    from sandbox import serve

    commands = {"up": serve.up, "down": serve.down, "status": serve.status, "inventory": serve.inventory}
    return commands[options.command](place, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="AWS on this machine, with Airflow: to try Mayfly, and to test it.",
        epilog="SANDBOX_NET=n (1 to 254) runs a second sandbox beside the first, on 127.n.0.1.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a pipeline, watch it, and tell what came of it")
    run.add_argument("pipeline", metavar="PIPELINE")
    run.add_argument("--source", type=Path, metavar="DIR", help="real input files; generated ones otherwise")
    run.add_argument("--window-start", type=_date, metavar="D", help="first date to load, YYYY-MM-DD")
    run.add_argument("--window-end", type=_date, metavar="D", help="the date after the last one to load")
    run.add_argument("--rows", type=_positive, metavar="N", help="rows to generate")
    run.add_argument("--report", type=Path, metavar="FILE", help="write what came of it as JSON")
    run.add_argument("--keep", action="store_true", help="leave the sandbox up after the run")
    commands.add_parser("up", help="start all of it with Airflow's UI, until Ctrl-C or `down`")
    commands.add_parser("down", help="stop what runs")
    commands.add_parser("status", help="what runs")
    commands.add_parser("inventory", help="what of Mayfly's exists in the account")
    sql = commands.add_parser("sql", help="ask the warehouse that the last run left as a snapshot")
    sql.add_argument("pipeline", metavar="PIPELINE")
    sql.add_argument("-c", dest="statement", required=True, metavar="SQL", help="the statement")
    sql.add_argument("--json", action="store_true", help="answer JSON: {columns, rows}")
    return parser


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write YYYY-MM-DD") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; write a whole number from 1")
    return int(text)


def settle_process() -> None:
    """Make this process the sandbox's own, before anything else. Raises SandboxError where SANDBOX_NET is wrong.

    The caller's AWS profile and proxy are of no use on the loopback network, and could break what asks it.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    host = Addresses.from_environment().host
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [known, host]))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(NO_FOREIGN_AWS)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM is Ctrl-C: everything is stopped in order."""
    raise KeyboardInterrupt
