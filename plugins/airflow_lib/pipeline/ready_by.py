"""By when a day's data is to be there: a time of day, in a time zone, of the day after."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from airflow_lib.pipeline.window import find_zone

_TEXT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]) (\S{1,64})\Z")


@dataclass(frozen=True)
class Due:
    """`day` was to be loaded by `at`."""

    day: date
    at: datetime


@dataclass(frozen=True)
class ReadyBy:
    """Each day, at `time` in `zone`, the day before is to be loaded."""

    time: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> ReadyBy:
        """What `06:00 Europe/Berlin` means. Raises ValueError that says what is wrong."""
        match = _TEXT.match(text)
        if match is None:
            raise ValueError(
                f"{text!r:.100} is no time of day in a time zone; write one such as 06:00 Europe/Berlin"
            )
        return cls(time(int(match[1]), int(match[2])), find_zone(match[3]))

    def __str__(self) -> str:
        return f"{self.time:%H:%M} {self.zone.key}"

    def latest_due(self, now: datetime) -> Due:
        """What was to be loaded last, by `now`; a time that the zone's clocks skip is an hour later that day."""
        today = now.astimezone(self.zone).date()
        at = self._at(today)
        if at > now:
            today -= timedelta(days=1)
            at = self._at(today)
        return Due(today - timedelta(days=1), at)

    def midnight(self, day: date) -> datetime:
        """When `day` begins in the zone."""
        return datetime.combine(day, time(), self.zone)

    def _at(self, day: date) -> datetime:
        return datetime.combine(day, self.time, self.zone)
