"""Numbers, times and text as the page shows them: short, and within bounds.

What comes from outside is text of any length and any characters. The template escapes it (Jinja's autoescape), and
`bounded` cuts it and takes out what could change how the text around it is read.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from airflow_lib.bounded_json import as_text

# Control characters but newline and tab, and those that turn the direction of text (Unicode's annex 9).
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_REPLACED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Bounds:
    """How much is shown: `items` of a list, `rows` and `columns` of a table, characters of a `text` or a `long` one."""

    items: int
    rows: int
    columns: int
    text: int
    long: int


def bounded(value: Any, limit: int) -> Any:
    """A text that can be shown, of `limit` characters at most. What is markup already, and no text, stays as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _UNSEEN.sub(_REPLACED, as_text(value, limit))


def format_cell(value: Any) -> str:
    """A value of a row."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.15g}"
    return str(value)


def format_count(value: int | None) -> str:
    """A number of rows, with thousands separated by narrow spaces that do not break."""
    return "—" if value is None else f"{value:,}".replace(",", "\u202f")


def format_seconds(seconds: float | None) -> str:
    """How long something took, to the precision that matters."""
    if seconds is None or not math.isfinite(seconds):
        return "—"
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_time(moment: datetime | None) -> str:
    """A moment in UTC, to the second."""
    return "—" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def format_clock(moment: datetime | None) -> str:
    """The time of day of a moment, in UTC."""
    return "—" if moment is None else f"{moment.astimezone(UTC):%H:%M:%S}"


def is_number(value: Any) -> bool:
    """Whether the value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{format_count(count)} {one if count == 1 else many or one + 's'}"
