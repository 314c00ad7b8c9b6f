"""The command line of `python -m sandbox`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from sandbox.addresses import Addresses
from sandbox.airflow.configuration import NO_FOREIGN_AWS
from sandbox.errors import SandboxError
from sandbox.state import Workspace

_INTERRUPTED = 130
_FAILED = 2
_WORKERS = 2  # the least that shows whether they share anything
_FORMS = "YYYY-MM-DD, or YYYY-MM-DDThh:mm in UTC for a pipeline whose windows are instants"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 2 if the sandbox itself failed, 130 if it was interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        return _dispatch(options, Workspace.from_environment(), Console())
    except SandboxError as error:
        return _print_error(error)
    except KeyboardInterrupt:
        return _INTERRUPTED


def main_of_process() -> int:
    """`python -m sandbox`: prepare this process, then run `main`."""
    try:
        prepare_process()
    except SandboxError as error:
        return _print_error(error)
    return main()


def _print_error(error: SandboxError) -> int:
    print(f"sandbox: {error}", file=sys.stderr)
    return _FAILED


def _dispatch(options: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    # Imported here, since importing boto3 and psycopg2 would make `--help` slow.
    if options.command == "run":
        from sandbox.run import RunOptions, run

        run_options = RunOptions(
            pipeline=options.pipeline,
            window_start=options.window_start,
            window_end=options.window_end,
            source=options.source.resolve() if options.source else None,
            rows=options.rows,
            report=options.report,
            html=options.html.resolve() if options.html else None,
            keep=options.keep,
            workers=_workers(options),
        )
        return run(run_options, workspace, console)
    if options.command == "backfill":
        from sandbox.backfill import BackfillOptions, backfill

        backfill_options = BackfillOptions(
            pipeline=options.pipeline,
            first=options.first,
            last=options.last,
            max_active_runs=options.max_active_runs,
            backwards=options.backwards,
            reprocess=options.reprocess,
            force=options.force,
            keep_alive_s=options.keep_alive,
            source=options.source.resolve() if options.source else None,
            rows=options.rows,
            report=options.report,
        )
        return backfill(backfill_options, workspace, console)
    if options.command == "sql":
        from sandbox.sql import run_statement

        return run_statement(
            workspace,
            console,
            pipeline=options.pipeline,
            statement=options.statement,
            as_json=options.json,
            **({"deployment": options.deployment} if options.deployment else {}),
        )
    from sandbox import serve

    if options.command == "up":
        return serve.up(workspace, console, _workers(options))
    commands = {"down": serve.down, "status": serve.status, "inventory": serve.inventory}
    return commands[options.command](workspace, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="AWS and Airflow on this machine, to try and to test Mayfly.",
        epilog="SANDBOX_NET=n (1 to 254) runs a second sandbox beside the first, on 127.n.0.1.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a pipeline, show its progress, and report the result")
    run.add_argument("pipeline", metavar="PIPELINE")
    run.add_argument(
        "--source", type=Path, metavar="DIR", help="directory of input files; generated if not given"
    )
    run.add_argument("--window-start", type=_moment, metavar="D", help=f"first date to load, {_FORMS}")
    run.add_argument("--window-end", type=_moment, metavar="D", help="the date after the last one to load")
    run.add_argument("--rows", type=_positive, metavar="N", help="rows to generate")
    run.add_argument("--report", type=Path, metavar="FILE", help="write the result as JSON")
    run.add_argument("--html", type=Path, metavar="FILE", help="write the result as one HTML page")
    run.add_argument("--keep", action="store_true", help="leave the sandbox up after the run")
    _add_backfill(commands)
    up = commands.add_parser("up", help="start AWS and Airflow with its UI, until Ctrl-C or `down`")
    for command in (run, up):
        command.add_argument(
            "--celery", action="store_true", help="run tasks in Celery workers, through RabbitMQ"
        )
        command.add_argument(
            "--workers", type=_positive, metavar="N", help=f"with --celery: how many, by default {_WORKERS}"
        )
    commands.add_parser("down", help="stop the running sandbox")
    commands.add_parser("status", help="show whether a sandbox runs, and what its account holds")
    commands.add_parser("inventory", help="list Mayfly's resources in the account")
    sql = commands.add_parser("sql", help="run a statement on the last run's snapshot of the warehouse")
    sql.add_argument("pipeline", metavar="PIPELINE")
    sql.add_argument("-c", dest="statement", required=True, metavar="SQL", help="the statement")
    sql.add_argument(
        "--deployment", metavar="NAME", help="whose warehouse, where it is not the sandbox's own deployment"
    )
    sql.add_argument("--json", action="store_true", help="print JSON: {columns, rows}")
    return parser


def _add_backfill(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    backfill = commands.add_parser("backfill", help="run a pipeline for each day, as Airflow's backfill does")
    backfill.add_argument("pipeline", metavar="PIPELINE")
    backfill.add_argument("--from", dest="first", type=_day, required=True, metavar="D", help="the first day")
    backfill.add_argument("--to", dest="last", type=_day, required=True, metavar="D", help="the last day")
    backfill.add_argument(
        "--max-active-runs",
        type=_positive,
        default=1,
        metavar="N",
        help="how many runs at a time; by default 1",
    )
    backfill.add_argument("--backwards", action="store_true", help="begin with the last day")
    backfill.add_argument(
        "--reprocess",
        choices=("none", "failed", "completed"),
        default="none",
        help="which days that have a run are done again: by default none",
    )
    backfill.add_argument(
        "--keep-alive",
        type=_seconds,
        default=600,
        metavar="S",
        help="how long clusters wait for the next run; by default 600 s",
    )
    backfill.add_argument("--force", action="store_true", help="compute and load all the same")
    backfill.add_argument(
        "--source", type=Path, metavar="DIR", help="directory of input files; generated if not given"
    )
    backfill.add_argument("--rows", type=_positive, metavar="N", help="rows to generate")
    backfill.add_argument("--report", type=Path, metavar="FILE", help="write the result as JSON")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write YYYY-MM-DD") from None


def _moment(text: str) -> date:
    """A date, or a `datetime` in UTC."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write {_FORMS}") from None


def _seconds(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds; write a whole number from 0")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number that can be used; write a whole number from 1"
        )
    return int(text)


def _workers(options: argparse.Namespace) -> int:
    """How many Celery workers; 0 without --celery. Raises SandboxError for --workers alone."""
    if options.workers is not None and not options.celery:
        raise SandboxError("--workers is the number of Celery workers: add --celery")
    return (options.workers or _WORKERS) if options.celery else 0


def prepare_process() -> None:
    """Prepare this process: SIGTERM interrupts it, and the caller's AWS settings and proxies are removed.

    They do not apply to the loopback network, and could break requests to it. Must run before anything else.
    Raises SandboxError if SANDBOX_NET is wrong.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    host = Addresses.from_environment().host
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [known, host]))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(NO_FOREIGN_AWS)


def _interrupt(*_: object) -> NoReturn:
    """Treat SIGTERM like Ctrl-C, so that everything is stopped in order."""
    raise KeyboardInterrupt
