"""What one run loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from airflow_lib.errors import DeclarationError, SettingsError, did_you_mean


class WindowUnit(StrEnum):
    """What the windows of a pipeline are made of.

    `DAY`: whole days, of the pipeline's time zone, for one that runs at most once a day. `INSTANT`: any stretch of
    time, in UTC, for one that may run more often; the job and the window column then know the time of day, too.
    """

    DAY = "day"
    INSTANT = "instant"


@dataclass(frozen=True)
class Window:
    """What one run loads: from `start` to just before `end`. Raises DeclarationError.

    Two dates are whole days, the last of them the day before `end`; two `datetime`s in UTC are instants.
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        bounds = {"start": self.start, "end": self.end}
        for name, bound in bounds.items():
            if not isinstance(bound, date):
                raise DeclarationError(
                    f"The window's {name} is {bound!r}: give a date, or a datetime in UTC for an instant."
                )
            if isinstance(bound, datetime) and bound.utcoffset() != timedelta():
                raise DeclarationError(
                    f"The window's {name} {bound} is not in UTC: give an instant the time zone UTC."
                )
        if isinstance(self.start, datetime) != isinstance(self.end, datetime):
            raise DeclarationError(
                f"The window from {self.start} to {self.end} mixes a day and an instant: give two of one kind."
            )
        if self.end == self.start:
            raise DeclarationError(
                f"The window from {self.start} to {self.end} is empty: its end is the first moment that is not loaded, "
                "so it must be later."
            )
        if self.end < self.start:
            raise DeclarationError(
                f"The window ends ({self.end}) before it starts ({self.start}): swap the two."
            )

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


def find_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ValueError that says which one was probably meant."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        raise ValueError(
            f"{name!r:.100} is no time zone{hint or ';'} write a name of the IANA database, such as Europe/Berlin"
        ) from None


def parse_window(given: Mapping[str, Any], unit: WindowUnit) -> Window:
    """The window of a run's params `window_start` and `window_end`, both of which are given.

    Raises SettingsError, from a ValueError, TypeError or OverflowError where one of them is no bound of that unit.
    """
    start, end = (_parse_bound(name, text, unit) for name, text in given.items())
    try:
        return Window(start, end)
    except DeclarationError as error:
        raise SettingsError(f"The params window_start and window_end are no window. {error}") from error


def _parse_bound(name: str, text: Any, unit: WindowUnit) -> date:
    """Raises SettingsError."""
    if unit is WindowUnit.DAY:
        parse: Callable[[str], date] = date.fromisoformat
        expected = "a date, as 2016-04-01"
    else:
        parse = _parse_instant
        expected = "a date with a time, as 2016-04-01T10:20:00+00:00"
    try:
        return parse(text)
    except (ValueError, TypeError, OverflowError) as error:
        raise SettingsError(
            f"The param {name} is {text!r:.100}: give {expected}, since this pipeline loads windows of {unit}s."
        ) from error


def _parse_instant(text: str) -> datetime:
    """A time without an offset is in UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
