"""What a deployment says of its pipelines' schedules, in place of their declarations: no DAG file is edited for it.

Besides, whose they are, and by which tags Airflow's UI finds them.

It is an environment variable, since it is read wherever a DAG file is parsed: an Airflow Variable would cost a call of
the database each time. setup_backend.md documents its keys.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowTimetableInvalid
from pydantic import Field, field_validator

from airflow_lib.bounded_json import MAX_JSON_BYTES, load_json
from airflow_lib.errors import SettingsError, did_you_mean
from airflow_lib.pipeline import UNKNOWN_ZONE, Pipeline
from airflow_lib.pipeline.window import find_zone
from airflow_lib.settings_model import SettingsModel, describe, format_key, validate
from airflow_lib.spark.shipping import list_pipelines
from subdags.schedule import check_cron, schedule_mistakes

log = logging.getLogger(__name__)

SCHEDULES = "MAYFLY_SCHEDULES"

# Of an owner or a tag, in characters: Airflow's limit of a tag (airflow/models/dag.py, TAG_MAX_LEN).
_MAX_SHOWN = 100
_MAX_TAGS = 20
_MAX_TOLD = 20  # names that are no pipeline's
_EXAMPLE = '{"immigration": {"schedule": "0 7 * * *", "timezone": "Europe/Berlin"}}'


class ScheduleSettings(SettingsModel):
    """What a deployment may say of one pipeline; a key that is left out keeps the declaration's value."""

    schedule: str | None = None
    timezone: str = "UTC"
    start: str = ""
    catchup: bool = False
    max_active_runs: int | None = Field(default=None, ge=1, le=1000)
    owner: str = ""
    tags: list[str] = Field(default_factory=list, max_length=_MAX_TAGS)

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                check_cron(value)
            except (AirflowTimetableInvalid, ValueError) as error:
                raise ValueError(
                    f"{value!r:.100}: {error}; write a cron expression, or null for runs that are only triggered"
                ) from None
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        find_zone(value)
        return value

    @field_validator("owner")
    @classmethod
    def _is_an_owner(cls, value: str) -> str:
        return _check_shown(value)

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, value: list[str]) -> list[str]:
        return [_check_shown(tag) for tag in value]

    @field_validator("start")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        _parse_start(value, "UTC")
        return value


@dataclass(frozen=True)
class Deployed:
    """A pipeline as this deployment runs it; where it has `mistakes`, as it is declared.

    `is_known`: the mistakes, if any, are not about this pipeline, so it runs as is said here. `origin` is who says its
    schedule, where that is not the declaration. `owner` and `tags` are what Airflow's UI shows of the DAG.
    """

    pipeline: Pipeline
    mistakes: tuple[str, ...] = ()
    is_known: bool = True
    origin: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()

    def look(self, pipeline: Pipeline) -> Iterator[str]:
        """What is wrong with the schedule, by whoever says it: for `declaration.validate`."""
        said = f"{self.origin}: " if self.origin else ""
        yield from (said + mistake for mistake in schedule_mistakes(pipeline))
        yield from self.mistakes

    def for_a_task(self) -> Pipeline:
        """The pipeline for a worker, which parses the file to run one task of a run that is under way.

        What came into the deployment's words since must not keep a teardown from its work; but where it is not known
        in which time zone the run's days are, no other task may guess (`operators.airflow_run.window_of`).
        """
        if self.is_known:
            return self.pipeline
        log.warning("%s of this host cannot be used:\n%s", SCHEDULES, "\n".join(self.mistakes))
        return replace(self.pipeline, timezone=UNKNOWN_ZONE)


def with_deployment(pipeline: Pipeline, environ: Mapping[str, str] = os.environ) -> Deployed:
    """The pipeline with what the variable `MAYFLY_SCHEDULES` says of it, and what is wrong with that. Raises nothing.

    A mistake in what is said of another pipeline is told by that one alone. A name that no pipeline has is told by
    those whose names are much like it, and by all where there is none.
    """
    given = environ.get(SCHEDULES, "").strip()
    name = getattr(pipeline, "name", None)
    if not given or not isinstance(pipeline, Pipeline) or not isinstance(name, str):
        return Deployed(pipeline)
    origin = f"{SCHEDULES} ({given:.200})" if given.startswith("/") else SCHEDULES
    try:
        content = _load(given, origin)
    except SettingsError as error:
        return Deployed(pipeline, (error.message,), is_known=False)
    known = {*list_pipelines(), name}
    mistakes = list(_unknown_names(content, known, name, origin))
    may_be_ours = any(name in get_close_matches(one, known, cutoff=_CUTOFF) for one in content.keys() - known)
    if name in content:
        own: list[str] = []
        settings = validate(ScheduleSettings, content[name], origin, own, (name,))
        if settings is None:
            return Deployed(pipeline, (*mistakes, *own), is_known=False)
        pipeline = replace(pipeline, **_changes(settings, pipeline))
        says_when = settings.model_fields_set & {"schedule", "timezone"}
        return Deployed(
            pipeline,
            tuple(mistakes),
            origin=f"{origin}: {name}" if says_when else "",
            owner=settings.owner,
            tags=tuple(dict.fromkeys(settings.tags)),
        )
    return Deployed(pipeline, tuple(mistakes), is_known=not may_be_ours)


_SHOWN_ONLY = {"owner", "tags"}  # which are no part of a declaration
_CUTOFF = 0.75  # as `did_you_mean` has it


def _load(given: str, origin: str) -> dict[str, Any]:
    """Raises SettingsError."""

    def unusable(cause: object) -> SettingsError:
        return SettingsError(
            f"{origin}: {cause}. Write a JSON object such as {_EXAMPLE}, or the absolute path of a file that holds one."
        )

    text: str | bytes = given
    if given.startswith("/"):
        try:
            with Path(given).open("rb") as file:
                text = file.read(MAX_JSON_BYTES + 1)
        except (OSError, ValueError) as error:
            raise unusable(f"the file cannot be read ({error})") from error
    content = load_json(text, unusable)
    if not isinstance(content, dict):
        raise unusable(f"a JSON object is expected, {describe(content)} was found")
    return content


def _unknown_names(content: dict[str, Any], known: set[str], own: str, origin: str) -> Iterator[str]:
    """The names that no pipeline has, and that this one is to tell: whoever is probably meant, else everybody."""
    unknown = [name for name in content if name not in known]
    for name in unknown[:_MAX_TOLD]:
        meant = get_close_matches(name.lower(), known, cutoff=_CUTOFF)
        if not meant or own in meant:
            yield (
                f"{origin}: {format_key(name)}: no pipeline of this name has code in sparkjobs/"
                f"{did_you_mean(name, known) or ':'} Correct the name, or remove it: no DAG reads it"
            )


def _changes(settings: ScheduleSettings, pipeline: Pipeline) -> dict[str, Any]:
    """The fields of the declaration that are said here."""
    changes = {name: getattr(settings, name) for name in settings.model_fields_set - _SHOWN_ONLY}
    if "start" in changes:
        changes["start"] = _parse_start(changes["start"], changes.get("timezone", pipeline.timezone))
    return changes


def _check_shown(text: str) -> str:
    """Raises ValueError. Airflow joins owners with commas, so none may be in one."""
    if not 0 < len(text) <= _MAX_SHOWN or text.strip() != text or "," in text or not text.isprintable():
        raise ValueError(
            f"{text!r:.120} cannot be shown by Airflow: write 1 to {_MAX_SHOWN} characters without commas, and "
            "without spaces at the ends"
        )
    return text


def _parse_start(text: str, timezone: str) -> datetime:
    """The instant that `text` means: a date is that day's begin in the zone. Raises ValueError."""
    try:
        try:
            day = date.fromisoformat(text)
            moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001  the zone follows
        except ValueError:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=find_zone(timezone))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r:.100} is no date; write one such as 2016-04-01") from None
