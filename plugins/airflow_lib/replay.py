"""Rejected rows come back: which windows to load again, now that the job or a file it reads is mended.

    python -m airflow_lib.replay PIPELINE [--reason R] [--run RUN_ID] [--start]

    MAYFLY_SETTINGS     path of a JSON file in the form of variables.example.json
    MAYFLY_AWS_REGION   the region, where the file does not say it

It tells the rejected rows of what runs loaded, where they lie, and the commands that load their windows again; with
`--start` it runs these. The source still holds the rows, so a job whose code or files changed reads them anew with all
others, and the load replaces what the window had: each row is loaded once. It touches neither tables nor S3 itself.
It ends with 0 where no row was rejected, 1 where some were, and 2 where something could not be found out or started.
It needs no Airflow but for `--start`, and reads no DAG: the runs wrote down their jobs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from airflow_lib.aws.clients import open_aws
from airflow_lib.aws.errors import explain
from airflow_lib.aws.s3 import list_folders
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.bounded_json import as_text
from airflow_lib.declaration.field_types import type_mistakes
from airflow_lib.errors import SettingsError, did_you_mean
from airflow_lib.janitor import load_settings
from airflow_lib.pipeline import PIPELINE_NAME, Pipeline, SparkJob, Window
from airflow_lib.polling import SystemClock
from airflow_lib.spark.batch import describe_missing
from airflow_lib.spark.livy import LivyClient
from airflow_lib.spark.livy_http import find_endpoint
from airflow_lib.steps import Run, Services
from airflow_lib.steps.batch import look_at_sources
from airflow_lib.steps.rejected_rows import (
    STANDING,
    Note,
    Rejected,
    find_rejected,
    list_notes,
    without_superseded,
)
from airflow_lib.steps.transform import resolve_job

CLEAN, FOUND, ERROR = 0, 1, 2

_TRIGGER_S = 300  # for how long `airflow dags trigger` may take
_SOME_DAY = Window(date(2000, 1, 1), date(2000, 1, 2))
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

Tell = Callable[[str], None]


@dataclass
class Plan:
    """What was found, and which windows are to be loaded again; `addresses` are those of their new outputs."""

    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)


def make_plan(run: Run, warn: Tell, *, reason: str | None = None, run_id: str | None = None) -> Plan:
    """What `run`'s pipeline rejected, and what to load again for it. `run` gives the settings and AWS: it is none.

    Raises SettingsError where the run or the reason is unknown, ResourceError where S3 refuses.
    """
    notes = list_notes(run, warn, run_id)
    if run_id is not None and not notes:
        raise SettingsError(
            f"No run {run_id!r:.300} of {run.pipeline.name} wrote down below {run.logs.uri('runs')}/ what it loads: "
            "check the id, as `airflow dags list-runs` shows it."
        )
    current = notes if run_id is not None else without_superseded(notes)
    found = list(find_rejected(run, current, warn))
    if reason is not None:
        found = _only(found, reason)
    plan, jobs = Plan(), next((note.jobs for note in notes if note.jobs), ())
    for rejected in sorted(found, key=_order):
        _judge(plan, run, rejected, jobs)
    plan.windows = join_windows(plan.windows)
    return plan


def join_windows(windows: Sequence[Window]) -> list[Window]:
    """The windows in order, with those that overlap or follow each other as one."""
    joined: list[Window] = []
    for window in sorted(windows, key=lambda one: (str(type(one.start)), one.start, one.end)):
        last = joined[-1] if joined else None
        if last is not None and type(last.start) is type(window.start) and window.start <= last.end:
            joined[-1] = Window(last.start, max(last.end, window.end))
        else:
            joined.append(window)
    return joined


def trigger_command(pipeline: str, window: Window, addresses: set[str]) -> list[str]:
    """Airflow's command that loads the window again.

    The run's id says what for: Airflow refuses to make the same run twice.
    """
    start, end = window.start.isoformat(), window.end.isoformat()
    digest = hashlib.sha256("\n".join(sorted(addresses)).encode()).hexdigest()[:12]
    conf = json.dumps({"window_start": start, "window_end": end})
    run_id = f"replay__{start}_{end}_{digest}"
    return ["airflow", "dags", "trigger", pipeline, "--run-id", run_id, "--conf", conf]


def start(commands: Sequence[Sequence[str]], tell: Tell, fail: Tell) -> None:
    """Run each command; what goes wrong is told to `fail`."""
    program = shutil.which("airflow")
    if program is None:
        fail(
            "--start needs the command airflow, which is not on PATH: run this where Airflow is, with its virtual "
            "environment active, or run the commands above there"
        )
        return
    for command in commands:
        shown = shlex.join(command)
        try:
            done = subprocess.run(  # noqa: S603  a list of our own words, and no shell
                [program, *command[1:]],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TRIGGER_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            fail(f"{shown}: {error}")
            continue
        if done.returncode:
            told = (done.stderr or done.stdout).strip()[-1000:]
            fail(f"{shown} ended with {done.returncode}: {told or 'it told nothing'}")
        else:
            tell(f"started: {shown}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what was found to stdout and what went wrong to stderr, and return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    failed: list[str] = []

    def tell(line: str) -> None:
        sys.stdout.write(_one_line(line) + "\n")

    def warn(line: str) -> None:
        sys.stderr.write(_one_line(line) + "\n")

    def fail(line: str) -> None:
        failed.append(line)
        warn(line)

    try:
        plan = make_plan(_open(options.pipeline), warn, reason=options.reason, run_id=options.run)
    except Exception as error:  # noqa: BLE001  Python's own code for one that nobody caught is that of FOUND
        sys.stderr.write(f"{explain(error)}\n")
        return ERROR
    for line in plan.lines or [f"{options.pipeline}: no row of what is loaded was rejected"]:
        tell(line)
    for line in plan.errors:
        fail(line)
    commands = [trigger_command(options.pipeline, one, plan.addresses) for one in plan.windows]
    for command in commands:
        tell(shlex.join(command))
    if options.start and commands:
        start(commands, tell, fail)
    return ERROR if failed else FOUND if plan.lines else CLEAN


def _judge(plan: Plan, run: Run, rejected: Rejected, jobs: tuple[SparkJob, ...]) -> None:
    """Add to the plan what was rejected, and what is to be done. The one place that knows the kinds of intake."""
    note = rejected.note
    if note.window is None:
        plan.lines.append(
            f"{_describe(rejected)}; an earlier version noted no window: look up the run's, and trigger it by hand"
        )
        return
    if note.intake != STANDING:
        plan.errors.append(
            f"{_describe(rejected)}; this version does not know how rows come back to an intake {note.intake!r:.50}: "
            "deploy the same version of Mayfly on every host"
        )
        return
    _judge_standing(plan, run, rejected, jobs)


def _judge_standing(plan: Plan, run: Run, rejected: Rejected, jobs: tuple[SparkJob, ...]) -> None:
    """The source still holds the rows: the window is loaded again, if its output would be another one now."""
    note = rejected.note
    job = next((one for one in jobs if one.name == note.job), None)
    if job is None or note.window is None:
        plan.lines.append(f"{_describe(rejected)}; the job is no longer declared: nothing to do")
        return
    now = replace(run, pipeline=replace(run.pipeline, jobs=jobs), window=note.window)
    mistakes = list(type_mistakes(now.pipeline))
    if mistakes:
        plan.errors.append(f"{_describe(rejected)}; what its run wrote down cannot be used: {mistakes[0]}")
        return
    batch = look_at_sources(now)
    lacking = (
        describe_missing(now.aws.s3, now.source, one, batch) for one in (job, *now.pipeline.upstream(job))
    )
    if missing := next(filter(None, lacking), ""):
        plan.errors.append(f"{_describe(rejected)}; it cannot be computed again: {missing}")
        return
    address = resolve_job(now, job, batch).output.address
    if address == note.address:
        plan.lines.append(
            f"{_describe(rejected)}; nothing changed since: mend the job or the file that it reads first"
        )
        return
    plan.lines.append(f"{_describe(rejected)}; its code or its source changed since: to be loaded again")
    plan.windows.append(note.window)
    plan.addresses.add(address)


def _only(found: list[Rejected], reason: str) -> list[Rejected]:
    """Those that have the reason, with its rows alone. Raises SettingsError where none has it."""
    known = {one for rejected in found for one in rejected.reasons}
    if reason not in known:
        raise SettingsError(
            f"No row was rejected for {reason!r:.100}{did_you_mean(reason, known) or '.'} "
            f"The reasons there are: {', '.join(sorted(known)) or 'none'}."
        )
    return [
        replace(one, reasons={reason: one.reasons[reason]}) for one in found if one.reasons.get(reason, 0)
    ]


def _describe(rejected: Rejected) -> str:
    note = rejected.note
    reasons = sorted(rejected.reasons.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{reason} {rows}" for reason, rows in reasons)
    window = f", window {note.window}" if note.window is not None else ""
    return (
        f"run {note.run_id}{window}: job {note.job} rejected {rejected.rows} rows ({told}), in {rejected.uri}"
    )


def _order(rejected: Rejected) -> tuple[str, str, str]:
    note: Note = rejected.note
    return str(note.window or ""), note.run_id, note.job


def _open(name: str) -> Run:
    """The pipeline's settings and AWS, as a run has them. Raises SettingsError where there is no such pipeline."""
    if not PIPELINE_NAME.match(name):
        raise SettingsError(f"{name!r:.100} is no pipeline's name: give that of its DAG.")
    settings = load_settings(os.environ).for_pipeline(name)
    aws = open_aws(settings)
    services = Services(aws=aws, clock=SystemClock(), find_livy=find_endpoint, open_livy=LivyClient)
    run = Run(Pipeline(name, _LONG_AGO, (), ()), "replay", _SOME_DAY, settings, services)
    logs = S3Location.parse(settings.mayfly.s3.logs)
    known = list_folders(aws.s3, logs.bucket, logs.folder_key)
    if name not in known:
        raise SettingsError(
            f"No run of a pipeline {name!r} wrote anything below {settings.mayfly.s3.logs}"
            f"{did_you_mean(name, known) or '.'} There are: {', '.join(known[:20]) or 'none'}."
        )
    return run


def _one_line(text: str) -> str:
    """Run ids and what Airflow says may have line breaks, and characters that a terminal obeys."""
    return as_text("".join(letter if letter.isprintable() else " " for letter in text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_lib.replay", description="Load again the windows whose rows were rejected."
    )
    parser.add_argument("pipeline", help="the pipeline's name, as immigration")
    parser.add_argument("--reason", help="look at the rows that were rejected for this reason alone")
    parser.add_argument("--run", metavar="RUN_ID", help="look at what this run loads alone")
    parser.add_argument("--start", action="store_true", help="run the commands that load the windows again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
