"""Tables, and how rows get into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class Staging:
    """A table in the run's own schema, filled by COPY from one job's output."""

    name: str
    output: str


@dataclass(frozen=True)
class Dimension:
    """A dimension: `key` identifies a row and is what facts, and dimensions declared after it, reference.

    Dimensions are loaded in the order of declaration and pruned in the reverse order, so a row is dropped after those
    that reference it.
    """

    name: str
    key: str


class OnEmpty(StrEnum):
    """What a load does where the source has no row for a window of which the table has rows.

    `FAIL`: the run is red; `KEEP`: the table keeps its rows; `REPLACE`: they are deleted.
    """

    FAIL = "fail"
    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True)
class ReplaceWindow:
    """A load replaces all rows of the run's window."""

    on_empty: OnEmpty = OnEmpty.FAIL


@dataclass(frozen=True)
class Fact:
    """A fact: `load` says how rows whose `window_column` lies in the run's window get in."""

    name: str
    key: str
    window_column: str
    load: ReplaceWindow = field(default_factory=ReplaceWindow)


Table = Staging | Dimension | Fact
