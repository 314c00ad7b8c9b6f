"""Whether a pipeline is ready in time: what was loaded, told beside the register, and who was told that it was not.

`<state>/<pipeline>/ready.json` is there for a pipeline that has a `ready_by`. The verdict of each green run adds the
run's window; the janitor's passes look whether the latest day that was due is in it. Only that one: so a backfill, and
a day that was never loaded, are nobody's alarm. Airflow is not asked, so that it may be gone.
Two passes, of the DAG and of cron, tell of a day once: the one whose compare-and-swap takes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

from botocore.exceptions import ClientError
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from airflow_lib.aws.errors import status_of, translate_aws_errors
from airflow_lib.aws.s3 import StoredObject, put_object_if, read_stored
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.bounded_json import load_json
from airflow_lib.errors import MayflyError, ResourceError
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.lifecycle.notify import Notice
from airflow_lib.naming import Slot
from airflow_lib.pipeline import Window
from airflow_lib.pipeline.ready_by import Due, ReadyBy

log = logging.getLogger(__name__)

_NAME = "ready.json"
_MAX_SPANS = 100  # the latest; one is enough where no day is missing
_ATTEMPTS = 5
_OVERTAKEN = frozenset({409, 412})  # as the register has it
# A pass that took it upon itself to tell, and neither did nor said that it could not, has died by then.
_TELLING_S = 600
_MAX_TRIES = 3

_T = TypeVar("_T", bound=date)
Tell = Callable[[Holder, Notice], None]


@dataclass(frozen=True)
class Told:
    """That `day` is late: since when that is being told, how often it was tried, and whether it was sent."""

    day: date
    at: AwareDatetime
    tries: int = 1
    sent: bool = False


@dataclass(frozen=True)
class Readiness:
    """What is loaded, since when that is written down, and who was told; spans are from a start to just before an end.

    `days` are windows of days, `instants` those of instants; what touches is one span.
    """

    since: AwareDatetime
    version: Literal[1] = 1
    days: tuple[tuple[date, date], ...] = ()
    instants: tuple[tuple[AwareDatetime, AwareDatetime], ...] = ()
    told: Told | None = None

    def with_window(self, window: Window) -> Readiness:
        if isinstance(window.start, datetime) and isinstance(window.end, datetime):
            return replace(self, instants=_join(self.instants, (window.start, window.end)))
        return replace(self, days=_join(self.days, (window.start, window.end)))

    def holds(self, day: date, ready_by: ReadyBy) -> bool:
        after = day + timedelta(days=1)
        start, end = ready_by.midnight(day), ready_by.midnight(after)
        return any(first <= day and after <= last for first, last in self.days) or any(
            first <= start and end <= last for first, last in self.instants
        )

    def is_told(self, due: Due, now: datetime) -> bool:
        """Whether nobody needs to tell of `due` now."""
        told = self.told
        if told is None or told.day != due.day:
            return False
        return told.sent or told.tries >= _MAX_TRIES or now < told.at + timedelta(seconds=_TELLING_S)


_ADAPTER = TypeAdapter(Readiness)


def note_ready(holder: Holder, window: Window) -> None:
    """Write down that a run that loads `window` came through. Raises ResourceError."""
    _change(holder, lambda found: found.with_window(window))


def tell_if_late(holder: Holder, ready_by: ReadyBy, tell: Tell, *, dry_run: bool = False) -> None:
    """Tell people, once for each day, that the latest day that was due is not loaded; a dry run only logs it.

    The first look only begins to write down: what was due before is not known.
    Raises ResourceError where it is not known whether the day is loaded, and what `tell` raises.
    """
    stored, found, now = _read(holder)
    due = ready_by.latest_due(now)
    if found is None:
        if not dry_run:
            _write(holder, stored, Readiness(since=now))
        return
    if due.at < found.since or found.holds(due.day, ready_by) or found.is_told(due, now):
        return
    message = _format_late(holder, ready_by, due)
    if dry_run:
        log.warning("%s", message)
        return
    again = found.told if found.told is not None and found.told.day == due.day else None
    told = Told(due.day, now, tries=again.tries + 1 if again else 1)
    if not _write(holder, stored, replace(found, told=told)):
        log.info("somebody else wrote %s just now: the next pass looks again", _NAME)
        return
    tell(holder, Notice(message, frozenset({"late"})))
    _change(holder, lambda latest: replace(latest, told=replace(told, sent=True)))


def _format_late(holder: Holder, ready_by: ReadyBy, due: Due) -> str:
    return (
        f"Pipeline {holder.environment.pipeline} is late: {due.day} was to be loaded by {ready_by} of "
        f"{due.at.date()}, and no run that loads it has come through. {_format_under_way(holder)}"
    )


def _format_under_way(holder: Holder) -> str:
    try:
        document, now = holder.register.read_with_time()
    except MayflyError as error:
        return f"Whether a run is under way is not known: {error.message}"
    live = {run for slot in Slot for run in document.slot(slot).live(now) if not run.startswith("janitor-")}
    if live:
        return f"Under way: {', '.join(sorted(live))}."
    return (
        "No run holds a lease: none was started, or it waits or has failed, or Airflow is gone. Look at the DAG's "
        "runs, and whether its scheduler and workers are there."
    )


def _join(spans: tuple[tuple[_T, _T], ...], new: tuple[_T, _T]) -> tuple[tuple[_T, _T], ...]:
    joined: list[tuple[_T, _T]] = []
    for start, end in sorted([*spans, new]):
        if joined and start <= joined[-1][1]:
            first, last = joined.pop()
            joined.append((first, max(end, last)))
        else:
            joined.append((start, end))
    return tuple(joined[-_MAX_SPANS:])


def _location(holder: Holder) -> S3Location:
    return S3Location.parse(holder.settings.mayfly.s3.state).below(holder.environment.pipeline)


def _read(holder: Holder) -> tuple[StoredObject, Readiness | None, datetime]:
    """What is stored, what it says, and S3's time. Raises ResourceError, also where it is not what Mayfly wrote."""
    location = _location(holder)
    stored = read_stored(holder.aws.s3, location.bucket, location.key(_NAME))
    uri = location.uri(_NAME)

    def unusable(cause: object) -> ResourceError:
        return ResourceError(
            f"Whether {holder.environment.pipeline} is ready is not known: {uri} is not what Mayfly wrote ({cause}). "
            "Delete it: it is written anew, and what is due from then on is looked at."
        )

    try:
        now = parsedate_to_datetime(stored.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ResourceError(f"{uri}: S3's answer has no usable Date header ({error}).") from error
    if stored.body is None:
        return stored, None, now
    content: Any = load_json(stored.body, unusable)
    try:
        return stored, _ADAPTER.validate_python(content), now
    except ValidationError as error:
        raise unusable(f"{error.error_count()} mistakes") from error


def _write(holder: Holder, stored: StoredObject, readiness: Readiness) -> bool:
    """Whether it was written; not where somebody wrote since it was read. Raises ResourceError."""
    location = _location(holder)
    body = _ADAPTER.dump_json(readiness)
    with translate_aws_errors(f"write {location.uri(_NAME)}"):
        try:
            put_object_if(holder.aws.s3, location.bucket, location.key(_NAME), body, etag=stored.etag)
        except ClientError as error:
            if status_of(error) not in _OVERTAKEN:
                raise
            return False
    return True


def _change(holder: Holder, change: Callable[[Readiness], Readiness]) -> None:
    for _ in range(_ATTEMPTS):
        stored, found, now = _read(holder)
        before = found or Readiness(since=now)
        after = change(before)
        if after == found or _write(holder, stored, after):
            return
    raise ResourceError(
        f"{_location(holder).uri(_NAME)} could not be written in {_ATTEMPTS} attempts: others keep writing it. "
        "Run the task again."
    )
