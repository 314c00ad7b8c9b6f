"""A backfill's plan before it is made, and its start (docs/backfill.md).

    python -m airflow_lib.backfill plan PIPELINE --from DAY --to DAY
    python -m airflow_lib.backfill run  PIPELINE --from DAY --to DAY

    MAYFLY_SETTINGS         path of a JSON file in the form of variables.example.json
    MAYFLY_AWS_REGION       the region, where the file does not say it
    MAYFLY_AIRFLOW_URL      of Airflow's API server; for `run`, as the next three
    MAYFLY_AIRFLOW_TOKEN    a token of it, or else
    MAYFLY_AIRFLOW_USER, MAYFLY_AIRFLOW_PASSWORD
    MAYFLY_AIRFLOW_CA       path of its CA's certificate, where the host does not trust it

`plan` tells which of these days the warehouse holds as they would be loaded now, which it does not and why, the
windows to load, and what clusters that makes; it changes nothing. It ends with 0 where there is nothing to do, 1 where
there is, or where that is not known, and 2 where something is wrong.
`run` starts a run of each of these windows. It ends with 0 where all were started or there was nothing to do, else 2.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from airflow_lib.aws.clients import open_aws
from airflow_lib.aws.errors import explain
from airflow_lib.backfill.airflow_api import AirflowApi, read_access
from airflow_lib.backfill.clusters import describe_clusters
from airflow_lib.backfill.declared import read_declaration
from airflow_lib.backfill.judge import Judge, Part, list_to_load
from airflow_lib.bounded_json import as_text
from airflow_lib.errors import DeclarationError, SettingsError
from airflow_lib.janitor import load_settings
from airflow_lib.pipeline import Pipeline, Window, WindowUnit
from airflow_lib.polling import SystemClock
from airflow_lib.replay import join_windows
from airflow_lib.spark.livy import LivyClient
from airflow_lib.spark.livy_http import find_endpoint
from airflow_lib.spark.shipping import hash_code
from airflow_lib.steps import Run, Services
from airflow_lib.steps.held import asks_the_clock
from airflow_lib.warehouse.sql_hash import hash_sql

CLEAN, FOUND, ERROR = 0, 1, 2

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What was found: the lines to read, the windows to load, and a digest of what that rests upon."""

    lines: list[str]
    windows: list[Window] = field(default_factory=list)
    digest: str = ""


def make_plan(run: Run) -> Plan:
    """What of `run`'s window is to be loaded. `run` gives pipeline, settings and AWS: it is none. Only reads.

    Raises SourceError where a source is missing, RegisterError and ResourceError where S3 cannot be asked.
    """
    judge = Judge(run)
    parts = judge.judge()
    windows = join_windows(list_to_load(parts))
    lines = [_describe(run.pipeline, part) for part in parts]
    if asks_the_clock(run.pipeline):
        lines.append("a check of freshness must be asked: any run makes a warehouse for that")
    lines += [f"to load: {_span(run.pipeline, window)}" for window in windows] or ["nothing to do"]
    if windows:
        lines += describe_clusters(run, judge.batch, judge.document, windows)
    rests_upon = (
        judge.batch.hash,
        hash_code(run.pipeline.name),
        hash_sql(run.pipeline),
        judge.document.warehouse.snapshot,
    )
    return Plan(lines, windows, hashlib.sha256(repr(rests_upon).encode()).hexdigest()[:12])


def start(plan: Plan, pipeline: Pipeline, api: AirflowApi, tell: Tell) -> None:
    """Start a run of each window of the plan. Raises ResourceError; those that were started go on.

    Raises SettingsError, before anything is started, where the DAG is paused.
    """
    if api.is_paused(pipeline.name):
        raise SettingsError(
            f"The DAG {pipeline.name} is paused, so its runs would wait: unpause it, then repeat this."
        )
    for window in plan.windows:
        begin, end = window.start.isoformat(), window.end.isoformat()
        # Not `backfill__`: Airflow keeps that for the runs of its own backfills.
        run_id = f"backfill-{begin}-{end}-{plan.digest}"
        name, is_new = api.start_run(pipeline.name, run_id, {"window_start": begin, "window_end": end})
        tell(f"{'started' if is_new else 'under way already'}: run {name}")


def parse_span(first: str, last: str, unit: WindowUnit) -> Window:
    """The window of `--from` and `--to`: days, both included; or instants, of which the latter is not.

    A day given for an instant is its midnight in UTC, as `--to` the one after it. Raises SettingsError.
    """
    try:
        start, end = (_parse_bound(text, unit) for text in (first, last))
        if not isinstance(end, datetime):
            end += timedelta(days=1)
        if unit is WindowUnit.INSTANT:
            start, end = (
                one if isinstance(one, datetime) else datetime.combine(one, time(), UTC)
                for one in (start, end)
            )
        return Window(start, end)
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"--from {first!r:.100} --to {last!r:.100}: {error}") from error
    except DeclarationError as error:
        raise SettingsError(f"--from and --to are no window. {error}") from error


def _parse_bound(text: str, unit: WindowUnit) -> date:
    """Raises ValueError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        if unit is WindowUnit.DAY:
            raise ValueError(f"{text!r:.100} is no day; write one such as 2016-04-01") from None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the plan to stdout and what went wrong to stderr, and return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    def tell(line: str) -> None:
        sys.stdout.write(_one_line(line) + "\n")

    try:
        api = AirflowApi(read_access(os.environ)) if options.command == "run" else None
        run = _open(options, os.environ)
        plan = make_plan(run)
        for line in plan.lines:
            tell(line)
        if api is not None:
            start(plan, run.pipeline, api, tell)
            return CLEAN
    except Exception as error:  # noqa: BLE001  Python's own code for one that nobody caught is that of FOUND
        sys.stderr.write(f"{explain(error)}\n")
        return ERROR
    return FOUND if plan.windows else CLEAN


def _open(options: argparse.Namespace, environ: Mapping[str, str]) -> Run:
    """Pipeline, settings and AWS, as a run has them. Raises SettingsError."""
    settings = load_settings(environ).for_pipeline(options.pipeline)
    pipeline = read_declaration(options.pipeline, environ)
    window = parse_span(options.first, options.last, pipeline.window_unit)
    aws = open_aws(settings)
    services = Services(aws=aws, clock=SystemClock(), find_livy=find_endpoint, open_livy=LivyClient)
    return Run(pipeline, "plan", window, settings, services)


def _describe(pipeline: Pipeline, part: Part) -> str:
    standing = (
        "loaded" if part.is_loaded else "not loaded as it would be now" if part.is_known else "not known"
    )
    return f"{_span(pipeline, part.window)}: {standing}: {part.why}"


def _span(pipeline: Pipeline, window: Window) -> str:
    """As `--from` and `--to` say it."""
    if pipeline.window_unit is WindowUnit.INSTANT:
        return f"{window.start.isoformat()} until {window.end.isoformat()}"
    days = (window.end - window.start).days
    last = window.end - timedelta(days=1)
    return f"{window.start} to {last} ({days} days)" if days > 1 else f"{window.start}"


def _one_line(text: str) -> str:
    """Run ids and what AWS says may have line breaks, and characters that a terminal obeys."""
    return as_text("".join(letter if letter.isprintable() else " " for letter in text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_lib.backfill", description="Tell what a backfill would load, and load it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in {
        "plan": "tell which days are loaded, which are not and why; change nothing",
        "run": "tell the same, and start the runs that load what is not",
    }.items():
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("pipeline", help="the pipeline's name, as immigration")
        command.add_argument("--from", dest="first", required=True, metavar="DAY", help="the first day")
        command.add_argument("--to", dest="last", required=True, metavar="DAY", help="the last day, included")
    return parser


if __name__ == "__main__":
    sys.exit(main())
