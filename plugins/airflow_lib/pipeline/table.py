"""Tables, and how rows get into them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Staging:
    """A table in the run's own schema, filled by COPY from one job's output."""

    name: str
    output: str


class OnEmpty(StrEnum):
    """What a load does where the source has no row for a window of which the table has rows.

    `FAIL`: the run is red; `KEEP`: the table keeps its rows; `REPLACE`: they are deleted.
    """

    FAIL = "fail"
    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True)
class ReplaceWindow:
    """The rows whose `column` lies in the run's window are replaced; what the SELECT gives outside it is not loaded.

    Where the table has a key, a row of the same key in another window goes, too: a record whose date was corrected is
    there once.
    """

    column: str
    on_empty: OnEmpty = OnEmpty.FAIL


@dataclass(frozen=True)
class Newest:
    """One row for each key of the table: the one with the greatest `by`, whatever the order of the loads.

    Without `by`, what is loaded last is newer. Among rows of one key that are equal in it, or of one load, the one with
    the greatest values wins, column by column in the order of the create template; a null is less than any value. A row
    that is there stays untouched where it wins or is equal.
    """

    by: str = ""


@dataclass(frozen=True)
class Rebuild:
    """All rows are replaced by what the SELECT gives."""


@dataclass(frozen=True)
class Append:
    """The rows are added, once for each batch of source objects, whichever runs load it and however often."""


Load = ReplaceWindow | Newest | Rebuild | Append


@dataclass(frozen=True)
class Table:
    """A table of the warehouse, which outlives the run: `load` says how what its SELECT gives gets in.

    The SELECT is `sql_templates/<pipeline>/load/<table>.sql`. `key` are the columns that together identify a row;
    `Newest` needs them, and for `ReplaceWindow` they are worth naming. With `prune`, the rows that no row of any table
    references, by the declared `References`, are deleted after all tables are loaded.
    """

    name: str
    load: Load
    key: tuple[str, ...] = ()
    prune: bool = False

    @property
    def window(self) -> ReplaceWindow | None:
        """How windows are replaced in the table, where it is loaded by windows."""
        return self.load if isinstance(self.load, ReplaceWindow) else None
