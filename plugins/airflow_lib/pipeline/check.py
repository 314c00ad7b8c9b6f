"""What must hold of a table's rows.

Each check has a `name`, by which runs tell of it: where the declaration leaves it out, it is made of the kind and what
is checked. Two checks of one kind and table need names of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Severity(StrEnum):
    """What a failing check does: `ERROR` keeps a load from being committed, `WARN` is only reported."""

    ERROR = "error"
    WARN = "warn"


class _Named:
    """A check that makes its own name where none is given, of what its kind's `_parts` say."""

    def __post_init__(self) -> None:
        if not self.__dict__.get("name"):
            object.__setattr__(self, "name", "_".join(str(part) for part in self._parts()))

    def _parts(self) -> tuple[object, ...]:
        raise NotImplementedError


@dataclass(frozen=True)
class NotNull(_Named):
    """No row of `table` has a null in any of `columns`."""

    table: str
    columns: tuple[str, ...]
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("not_null", self.table)


@dataclass(frozen=True)
class Unique(_Named):
    """`columns` together identify a row. Redshift enforces no key, so a check does."""

    table: str
    columns: tuple[str, ...]
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("unique", self.table, *self.columns)


@dataclass(frozen=True)
class References(_Named):
    """Every `table.column` is found in `to_table.to_column`, or is null."""

    table: str
    column: str
    to_table: str
    to_column: str
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("references", self.table, self.column, self.to_table)


@dataclass(frozen=True)
class Complete:
    """Rows that the job wrote = rows in `staging` = rows of the window in `table`.

    Of a table that is not loaded by windows, the first two are compared alone.
    """

    table: str
    staging: str
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"complete_{self.table}"


@dataclass(frozen=True)
class Holds:
    """`predicate` (Redshift SQL) is true for every row of `table`, or unknown because of a null."""

    name: str
    table: str
    predicate: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class AcceptedValues(_Named):
    """`column` holds nothing but `values` and nulls; `NotNull` finds the nulls."""

    table: str
    column: str
    values: tuple[str, ...]
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("accepted_values", self.table, self.column)


Bound = int | float | date | datetime | None


@dataclass(frozen=True)
class Between(_Named):
    """Every `column` is at least `low` and at most `high`, or null; a bound that is None does not bind.

    The bounds are of the column's kind: numbers, dates of a DATE, dates or instants (`datetime` in UTC) of a TIMESTAMP,
    where a date is its first moment.
    """

    table: str
    column: str
    low: Bound
    high: Bound
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("between", self.table, self.column)


@dataclass(frozen=True)
class Fresh(_Named):
    """The newest `column`, a DATE or TIMESTAMP in UTC, is at most `max_age_h` hours old by the warehouse's clock.

    A DATE's age counts from its first moment. A table without a row, or with nulls alone, is not fresh.
    """

    table: str
    column: str
    max_age_h: float
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("fresh", self.table, self.column)


@dataclass(frozen=True)
class RowCount(_Named):
    """`table` has at least `at_least` rows and at most `at_most`; a bound that is None does not bind."""

    table: str
    at_least: int | None = None
    at_most: int | None = None
    severity: Severity = Severity.ERROR
    name: str = ""

    def _parts(self) -> tuple[object, ...]:
        return ("row_count", self.table)


Check = NotNull | Unique | References | Complete | Holds | AcceptedValues | Between | Fresh | RowCount
