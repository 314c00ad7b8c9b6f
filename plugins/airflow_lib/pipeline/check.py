"""What must hold of a table's rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a failing check does: `ERROR` keeps a load from being committed, `WARN` is only reported."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True)
class NotNull:
    """No row of `table` has a null in any of `columns`."""

    table: str
    columns: tuple[str, ...]
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"not_null_{self.table}"


@dataclass(frozen=True)
class Unique:
    """`columns` together identify a row. Redshift enforces no key, so a check does."""

    table: str
    columns: tuple[str, ...]
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"unique_{self.table}_{'_'.join(self.columns)}"


@dataclass(frozen=True)
class References:
    """Every `table.column` is found in `to_table.to_column`, or is null."""

    table: str
    column: str
    to_table: str
    to_column: str
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"references_{self.table}_{self.column}_{self.to_table}"


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
class AcceptedValues:
    """`column` holds nothing but `values` and nulls; `NotNull` finds the nulls."""

    table: str
    column: str
    values: tuple[str, ...]
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"accepted_values_{self.table}_{self.column}"


Check = NotNull | Unique | References | Complete | Holds | AcceptedValues
