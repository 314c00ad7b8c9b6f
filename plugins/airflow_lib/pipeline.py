"""The classes in which a pipeline is declared: data only, no behaviour.

`declaration` says whether one can work. What is done with one is elsewhere: jobs in `spark.livy`, tables in
`warehouse.publish`, checks in `warehouse.quality`, hardware in `spark.sizing` and `resources`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from airflow_lib.errors import DeclarationError

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PIPELINE_NAME = re.compile(r"[a-z][a-z0-9]{0,15}\Z")


class Severity(StrEnum):
    """What a failing check does: `ERROR` keeps a load from being committed, `WARN` is only reported."""

    ERROR = "error"
    WARN = "warn"


class WindowUnit(StrEnum):
    """What the windows of a pipeline are made of, both in UTC.

    `DAY`: whole days, for a pipeline that runs at most once a day. `INSTANT`: any stretch of time, for one that may run
    more often; the job and the window column then know the time of day, too.
    """

    DAY = "day"
    INSTANT = "instant"


@dataclass(frozen=True)
class Window:
    """What one run loads: from `start` to just before `end`, in UTC. Raises DeclarationError.

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


@dataclass(frozen=True)
class Source:
    """A file or folder (a trailing `/`) below the pipeline's source folder.

    Of several names, for a source that is published in more than one form, the first that has content is read.
    `columns` are what the job reads of it, in any order and case; what a CSV's header or a Parquet file's schema lacks
    of them is told before a cluster is made. `delimiter` separates a CSV's fields.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str = ","

    def __init__(self, *names: str, columns: tuple[str, ...] = (), delimiter: str = ",") -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "delimiter", delimiter)


@dataclass(frozen=True)
class SparkJob:
    """One dataset's Spark job, run in a Livy session of its own.

    Its code is `sparkjobs/<pipeline>/<name>.py:run(spark, inputs, target, rejected, window)`.
    A source that is text is short for a `Source` of that one name.
    The output of a `windowed` job depends on the run's window, so it is computed for each window; the output of the
    others serves every run until a source or the code changes.
    Where more than `max_rejected` of the rows read are rejected (a share, 0 to 1), or of a column's values unreadable,
    the job fails before anything of it is loaded; so it does where rows are rejected and none is written, unless
    `max_rejected` is 1, and where nothing of a column can be read.
    """

    name: str
    sources: tuple[str | Source, ...]
    windowed: bool = False
    max_rejected: float = 0.5


@dataclass(frozen=True)
class Staging:
    """A table in the run's own schema, filled by COPY from one job's Parquet."""

    name: str
    job: str


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
    """Rows written by `job` = rows staged = rows in `fact`, for the run's window."""

    job: str
    staging: str
    fact: str
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"complete_{self.fact}"

    @property
    def table(self) -> str:
        """The table that the check is about, as every check's `table`."""
        return self.fact


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


@dataclass(frozen=True)
class Hardware:
    """The clusters that a pipeline needs, unless the Variable `mayfly` says otherwise.

    `ebs_gib` is the disk of each EMR node in GiB; `core_count` leaves out the master.
    """

    master_type: str = "m5.xlarge"
    core_type: str = "m5.xlarge"
    core_count: int = 1
    ebs_gib: int = 64
    warehouse_node_type: str = "ra3.large"
    warehouse_nodes: int = 1


@dataclass(frozen=True)
class Pipeline:
    """One pipeline; `declaration.validate` says whether it can work.

    `start` has a time zone; `schedule` is a cron expression in UTC, None for runs that are only triggered, and with
    windows of days (`window_unit`) at most once a day; `answers` are the names of the questions, files in
    `sql_templates/<name>/answers/`; the EMR cluster is sized for `max_parallel_runs`.
    """

    name: str
    start: datetime
    jobs: tuple[SparkJob, ...]
    tables: tuple[Table, ...]
    schedule: str | None = None
    window_unit: WindowUnit = WindowUnit.DAY
    checks: tuple[Check, ...] = ()
    answers: tuple[str, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    max_parallel_runs: int = 1
    description: str = ""

    @property
    def staging(self) -> tuple[Staging, ...]:
        return tuple(table for table in self.tables if isinstance(table, Staging))

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        return tuple(table for table in self.tables if isinstance(table, Dimension))

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(table for table in self.tables if isinstance(table, Fact))

    @property
    def warehouse_tables(self) -> tuple[Dimension | Fact, ...]:
        """The tables that outlive a run, in the order they are loaded."""
        return (*self.dimensions, *self.facts)

    def checks_of(self, table: str) -> tuple[Check, ...]:
        """The checks of that table, in the order of declaration."""
        return tuple(check for check in self.checks if check.table == table)

    def job(self, name: str) -> SparkJob:
        """The job of that name, which must be declared."""
        return next(job for job in self.jobs if job.name == name)
