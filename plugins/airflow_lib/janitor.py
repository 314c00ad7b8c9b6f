"""The janitor: removes what outlived its lease, over all environments of a deployment. Needs no Airflow.

    python -m airflow_lib.janitor [--dry-run] [--environment E]

    MAYFLY_SETTINGS     path of a JSON file in the form of variables.example.json
    MAYFLY_AWS_REGION   the region, where the file does not say it

It ends with 0 where all is clean, 1 where it found something (removed by now, still being deleted, or an alarm), and
2 where something could not be done, whatever else it found. What may go in one environment is `lifecycle.sweeper`'s.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from airflow_lib.aws.clients import Aws, open_aws
from airflow_lib.aws.errors import explain
from airflow_lib.aws.s3 import list_folders, probe_object
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.bounded_json import MAX_JSON_BYTES, load_json
from airflow_lib.errors import SettingsError
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.lifecycle.notify import Notice, notify
from airflow_lib.lifecycle.readiness import Tell, tell_if_late
from airflow_lib.lifecycle.sweeper import EnvironmentSweeper
from airflow_lib.naming import Environment
from airflow_lib.pipeline import PIPELINE_NAME
from airflow_lib.polling import Clock, SystemClock
from airflow_lib.settings import VARIABLES, Settings, parse_settings

log = logging.getLogger(__name__)

SETTINGS_FILE = "MAYFLY_SETTINGS"
REGION = "MAYFLY_AWS_REGION"

CLEAN, FOUND, ERROR = 0, 1, 2

# A pass that ends before its teardowns do leaves them to the next one, which can go on once this lease is over.
PASS_S = 600
LEASE_S = 240


def list_pipelines(aws: Aws, settings: Settings) -> list[str]:
    """The pipelines of the deployment that have a register, or one of which S3 does not say whether it is there.

    Raises ResourceError where S3 does not list their folders.
    """
    state = S3Location.parse(settings.mayfly.s3.state)
    folders = list_folders(aws.s3, state.bucket, state.folder_key)
    return [name for name in folders if PIPELINE_NAME.match(name) and _has_register(aws, state, name)]


def _has_register(aws: Aws, state: S3Location, pipeline: str) -> bool:
    try:
        return probe_object(aws.s3, state.bucket, state.key(pipeline, "register.json")) is not None
    except Exception as error:  # noqa: BLE001  reading it will fail so, too, as an error of this environment alone
        log.warning("%s: whether it has a register cannot be seen: %s", pipeline, explain(error))
        return True


def make_pass(
    settings: Settings,
    aws: Aws,
    clock: Clock,
    *,
    sleep: Callable[[float], None],
    dry_run: bool = False,
    only: str | None = None,
    limit_s: float = PASS_S,
    tell: Tell = notify,
) -> list[EnvironmentSweeper]:
    """Go over every environment (or `only` one: its name, or its pipeline's), and `tell` people what was found.

    Teardowns of several go on at once, for `limit_s` at most. Where one cannot be looked after, the others are.
    Raises SettingsError where `only` is unknown; ResourceError where the registers cannot be found.
    """
    deadline = clock.now() + timedelta(seconds=limit_s)
    sweepers = [
        EnvironmentSweeper(_holder(environment, settings, aws, clock), dry_run)
        for environment in _environments(settings, aws, only)
    ]
    for sweeper in sweepers:
        sweeper.survey()
    while _poll_all(sweepers) and clock.now() < deadline:
        sleep(settings.mayfly.poll_s)
    for sweeper in sweepers:
        _look_whether_late(sweeper, tell)
        _report(sweeper, tell)
    return sweepers


def judge(sweepers: Sequence[EnvironmentSweeper]) -> int:
    """The exit code."""
    if any(sweeper.errors for sweeper in sweepers):
        return ERROR
    return FOUND if any(sweeper.findings for sweeper in sweepers) else CLEAN


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings from the file that `MAYFLY_SETTINGS` names. Raises SettingsError."""
    path = environ.get(SETTINGS_FILE)
    if not path:
        raise SettingsError(f"{SETTINGS_FILE} is not set: let it name a file like variables.example.json.")
    content = _load_file(path)
    if not isinstance(content, dict):
        raise SettingsError(f"{SETTINGS_FILE}: {path} holds no JSON object; variables.example.json is one.")
    unknown = sorted(content.keys() - set(VARIABLES))
    if unknown:
        raise SettingsError(
            f"{SETTINGS_FILE}: {path} has keys that nothing reads: {', '.join(unknown)}. "
            f"Check their spelling; it may have {', '.join(VARIABLES)}."
        )
    texts: dict[str, str | None] = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in content.items()
        if value is not None
    }
    return parse_settings({"aws_region": environ.get(REGION), **texts})


def _load_file(path: str) -> Any:
    def unreadable(cause: object) -> SettingsError:
        return SettingsError(
            f"{SETTINGS_FILE}: {path} cannot be read: {cause}. It must be a JSON file like variables.example.json."
        )

    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise unreadable(error) from error
    return load_json(text, unreadable)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one pass, print what it found to stdout, and return the exit code.

    Whatever happens ends with `ERROR`: Python's own code for an exception that nobody caught is that of `FOUND`.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        sweepers = _make_pass_of(options)
        for sweeper in sweepers:
            _print(sweeper)
        return judge(sweepers)
    except Exception as error:  # noqa: BLE001
        _write(sys.stderr, explain(error))
        return ERROR


def _make_pass_of(options: argparse.Namespace) -> list[EnvironmentSweeper]:
    settings = load_settings(os.environ)
    return make_pass(
        settings,
        open_aws(settings),
        SystemClock(),
        sleep=time.sleep,
        dry_run=options.dry_run,
        only=options.environment,
    )


def _print(sweeper: EnvironmentSweeper) -> None:
    name = sweeper.holder.environment.name
    clean = "clean" if not sweeper.errors else "not checked completely: see the errors"
    for line in sweeper.findings or [clean]:
        _write(sys.stdout, f"{name}: {line}")
    for line in sweeper.errors:
        _write(sys.stderr, f"{name}: {line}")


def _write(stream: TextIO, line: str) -> None:
    """The line, in whatever encoding cron left us: tags and messages of AWS may hold any character."""
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_lib.janitor", description="Remove what outlived its lease."
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed; touch nothing")
    parser.add_argument("--environment", help="look after this one alone: dev-immigration, or immigration")
    return parser


def _environments(settings: Settings, aws: Aws, only: str | None) -> list[Environment]:
    deployment = settings.mayfly.deployment
    # One that is to be ready, and that no run was ever of, has no register.
    names = sorted({*list_pipelines(aws, settings), *settings.ready_by})
    found = [Environment(deployment, name) for name in names]
    chosen = [one for one in found if only in (None, one.name, one.pipeline)]
    if only is not None and not chosen:
        raise SettingsError(
            f"There is no environment {only!r} with a register below {settings.mayfly.s3.state}; "
            f"there are: {', '.join(one.name for one in found) or 'none'}."
        )
    return chosen


def _poll_all(sweepers: Sequence[EnvironmentSweeper]) -> bool:
    """One poll in each environment; whether any is to be polled again."""
    going_on = [sweeper.poll() for sweeper in sweepers]
    return any(going_on)


def _holder(environment: Environment, settings: Settings, aws: Aws, clock: Clock) -> Holder:
    """The pass as the register knows it; no two have one name, or both would tear down."""
    lease_s = min(LEASE_S, settings.mayfly.lease_s)
    return Holder(environment, f"janitor-{uuid.uuid4().hex[:12]}", settings, aws, clock, lease_s)


def _look_whether_late(sweeper: EnvironmentSweeper, tell: Tell) -> None:
    """Tell people where the pipeline is not ready in time; that it is not known, or not told, is an error."""
    holder = sweeper.holder
    ready_by = holder.settings.ready_by.get(holder.environment.pipeline)
    if ready_by is None:
        return
    try:
        tell_if_late(holder, ready_by, tell, dry_run=sweeper.dry_run)
    except Exception as error:  # noqa: BLE001  the other environments are still to be looked at
        sweeper.errors.append(f"whether it is ready by {ready_by}: {explain(error)}")


def _report(sweeper: EnvironmentSweeper, tell: Tell) -> None:
    """Notify of what was found; a notification that cannot be sent is an error of the pass."""
    name, lines = sweeper.holder.environment.name, [*sweeper.findings, *sweeper.errors]
    if not lines:
        log.info("%s: clean", name)
    elif sweeper.dry_run:
        log.info("%s: %s found; nothing was touched", name, len(lines))
    else:
        try:
            message = "The janitor found:\n" + "\n".join(f"- {line}" for line in lines)
            tell(sweeper.holder, Notice(message, frozenset({"leftovers"})))
        except Exception as error:  # noqa: BLE001  the other environments are still to be told of
            sweeper.errors.append(
                f"the notification could not be sent: {explain(error)}. "
                "Check mayfly.notify, and for its topic the right sns:Publish"
            )


if __name__ == "__main__":
    sys.exit(main())
