"""Which rows the outputs that runs load have left out, and where these rows lie: told by what the runs wrote down.

Each transform task notes in S3 which output its run loads (`pinned_output`); the output's manifest counts the rejected
rows by reason. No declaration is read: the notes hold the jobs as they were declared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice

from airflow_lib.aws.s3 import ListedObject, list_objects, read_stored
from airflow_lib.aws.s3_location import uri_of
from airflow_lib.bounded_json import as_text, load_json
from airflow_lib.errors import DeclarationError, OutputError, SettingsError
from airflow_lib.naming import run_key
from airflow_lib.pipeline import IDENTIFIER, SparkJob, Window
from airflow_lib.spark.manifest import Manifest, probe_manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.steps import Run
from airflow_lib.steps.pinned_output import parse_pin
from airflow_lib.steps.serialization import from_json

MAX_LISTED = (
    200_000  # objects below the runs' folder: years of a run a day, or two months of one every ten minutes
)
_MAX_NOTE = 1024 * 1024  # bytes; ours are of some kilobytes
_MAX_RUN_ID = 250  # characters; Airflow's column of run ids
_NOTE = re.compile(r"(?P<key>[0-9a-f]{12})/outputs/(?P<job>[^/]+)\.json\Z")

STANDING = "Standing"  # the kind of intake whose source still holds the rejected rows

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Note:
    """Which output of `job` a run loads. What an earlier version wrote has no window and no jobs."""

    run_id: str
    job: str
    address: str
    at: datetime
    window: Window | None = None
    jobs: tuple[SparkJob, ...] = ()
    intake: str = STANDING

    @property
    def is_windowed(self) -> bool:
        """Whether a run loads only its window's rows of the output."""
        return any(job.name == self.job and job.loads_window for job in self.jobs)


@dataclass(frozen=True)
class Rejected:
    """The rows that one output left out, by reason; `uri` is the folder that holds them."""

    note: Note
    reasons: dict[str, int] = field(default_factory=dict)
    uri: str = ""

    @property
    def rows(self) -> int:
        return sum(self.reasons.values())


def list_notes(run: Run, warn: Warn, run_id: str | None = None) -> list[Note]:
    """The notes of all runs, or of the one named, the newest first. What is no note is told to `warn`, and skipped.

    Raises SettingsError where there are more than can be looked at, ResourceError where S3 refuses.
    """
    root = run.logs.key("runs") + "/"
    prefix = root if run_id is None else f"{root}{run_key(run_id)}/outputs/"
    listed = list(islice(list_objects(run.aws.s3, run.logs.bucket, prefix), MAX_LISTED + 1))
    if len(listed) > MAX_LISTED:
        raise SettingsError(
            f"{uri_of(run.logs.bucket, root)} holds more than {MAX_LISTED} objects, which is as many as are looked at. "
            "Name a run (--run), or let a lifecycle rule of the bucket delete those of old runs."
        )
    notes = list(_read_notes(run, warn, root, listed))
    return sorted(notes, key=lambda note: note.at, reverse=True)


def without_superseded(notes: Iterable[Note]) -> list[Note]:
    """The notes, the newest first, without those whose window was loaded again since from another output.

    Of a job that does not depend on the window, only the newest counts.
    """
    kept: list[Note] = []
    for note in notes:
        newer = [one for one in kept if one.job == note.job]
        known = [one for one in (note, *newer) if one.jobs]
        if newer and known and not any(one.is_windowed for one in known):
            continue
        if not any(_covers(one.window, note.window) or one.address == note.address for one in newer):
            kept.append(note)
    return kept


def find_rejected(run: Run, notes: Iterable[Note], warn: Warn) -> Iterator[Rejected]:
    """What the noted outputs rejected; those without are left out, and those that are gone are told to `warn`.

    Raises ResourceError where S3 refuses.
    """
    manifests: dict[tuple[str, str], Manifest | None] = {}
    for note in notes:
        output = Output(run.processed, note.job, note.address)
        if (note.job, note.address) not in manifests:
            manifests[note.job, note.address] = _probe(run, output, warn)
        manifest = manifests[note.job, note.address]
        if manifest is not None:
            reasons = {reason: rows for reason, rows in manifest.counts.rejected.items() if rows}
            if reasons:
                yield Rejected(note, reasons, output.rejected_uri(manifest.attempt))


def _probe(run: Run, output: Output, warn: Warn) -> Manifest | None:
    try:
        manifest = probe_manifest(run.aws.s3, output)
    except OutputError as error:
        warn(error.message)
        return None
    if manifest is None:
        warn(
            f"{output.prefix} has no manifest any more, or one of an earlier version: what it rejected is not known"
        )
    return manifest


def _covers(newer: Window | None, older: Window | None) -> bool:
    if (
        newer is None
        or older is None
        or isinstance(newer.start, datetime) != isinstance(older.start, datetime)
    ):
        return False
    return newer.start <= older.start and older.end <= newer.end


def _read_notes(run: Run, warn: Warn, root: str, listed: Iterable[ListedObject]) -> Iterator[Note]:
    for item in listed:
        match = _NOTE.match(item.key.removeprefix(root))
        if match is None or not IDENTIFIER.match(match["job"]):
            continue
        uri = uri_of(run.logs.bucket, item.key)
        if item.size > _MAX_NOTE:
            warn(f"{uri} is {item.size} bytes long, so it is no note of a run: skipped")
            continue
        stored = read_stored(run.aws.s3, run.logs.bucket, item.key)
        if stored.body is None or stored.modified is None:  # deleted since it was listed
            continue
        try:
            yield parse_note(stored.body, match["key"], match["job"], stored.modified)
        except OutputError as error:
            warn(f"{uri} is no note of a run ({error.message}): skipped")


def parse_note(body: bytes, key: str, job: str, at: datetime) -> Note:
    """The note in the folder `key` of a run. Raises OutputError where it is not one that Mayfly wrote."""
    address = parse_pin(body, job)
    content = load_json(body, OutputError)
    run_id = content.get("run_id")
    if not isinstance(run_id, str) or len(run_id) > _MAX_RUN_ID or run_key(run_id) != key:
        raise OutputError("its run_id is not that of its folder")
    known = Note(run_id, job, address, at.astimezone(UTC))
    if "window" not in content:
        return known
    try:
        start, end = (_parse_bound(text) for text in content["window"])
        window = Window(start, end)
        jobs = from_json(content["jobs"])
    except (DeclarationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutputError(as_text(f"{type(error).__name__}: {error}", 200)) from error
    if not isinstance(jobs, tuple) or not all(isinstance(one, SparkJob) for one in jobs):
        raise OutputError("its jobs are none")
    if job not in [one.name for one in jobs]:
        raise OutputError(f"its jobs lack {job!r}")
    intake = content.get("intake", STANDING)
    return Note(run_id, job, address, known.at, window, jobs, intake if isinstance(intake, str) else "")


def _parse_bound(text: object) -> date:
    """Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(f"{json.dumps(text)[:50]} is no time")  # noqa: TRY004  one kind of error for all
    return date.fromisoformat(text) if len(text) == len("2016-04-01") else datetime.fromisoformat(text)
