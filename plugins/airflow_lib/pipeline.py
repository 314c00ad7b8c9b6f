"""The vocabulary in which a pipeline is declared: data only, no behaviour.

A declaration is validated whole: every error is told at once, each with its mend.
How the words are carried out lives elsewhere: jobs in `livy`, tables in `warehouse`, checks in `quality`,
hardware in `sizing` and `resources`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from airflow_lib.errors import DeclarationError

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PIPELINE_NAME = re.compile(r"[a-z][a-z0-9]{0,15}\Z")


class Severity(StrEnum):
    """What a failing check does: `ERROR` makes the run red, `WARN` is told and kept."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True)
class Window:
    """Half-open dates [start, end) in UTC: what one run loads."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise DeclarationError(f"Window ends ({self.end}) before it starts ({self.start}): swap the two.")


@dataclass(frozen=True)
class OneOf:
    """A source that is published in more than one form; the first that exists is read."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class SparkJob:
    """One dataset's Spark job, run in a Livy session of its own.

    Its code is `sparkjobs/<pipeline>/<name>.py:run(spark, inputs, target, rejected, window)`.
    `sources` are names below the pipeline's source folder; a trailing `/` marks a folder.
    `windowed` jobs read the run's window, so their output is computed anew for each window;
    the others' output serves every run until a source or the code changes.
    """

    name: str
    sources: tuple[str | OneOf, ...]
    windowed: bool = False


@dataclass(frozen=True)
class Staging:
    """A table that takes one job's Parquet by COPY, in the run's own schema."""

    name: str
    job: str


@dataclass(frozen=True)
class Dimension:
    """A dimension: `key` identifies a row and is what facts reference."""

    name: str
    key: str


@dataclass(frozen=True)
class Fact:
    """A fact: the rows whose `window_column` lies in a run's window are replaced as one."""

    name: str
    key: str
    window_column: str


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
    """`columns` together identify a row. Redshift enforces no key, so it is asked."""

    table: str
    columns: tuple[str, ...]
    severity: Severity = Severity.ERROR

    @property
    def name(self) -> str:
        return f"unique_{self.table}_{'_'.join(self.columns)}"


@dataclass(frozen=True)
class References:
    """Every `table.column` is found in `to_table.to_column`."""

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


@dataclass(frozen=True)
class Holds:
    """`predicate` (Redshift SQL) is true of, or unknown for, every row of `table`."""

    name: str
    table: str
    predicate: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class AcceptedValues:
    """`column` holds nothing but `values`; a null is for `NotNull` to find."""

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
    """What a pipeline runs on unless the `mayfly` Variable overrides it."""

    master_type: str = "m5.xlarge"
    core_type: str = "m5.xlarge"
    core_count: int = 1
    ebs_gib: int = 64
    warehouse_node_type: str = "ra3.large"
    warehouse_nodes: int = 1


@dataclass(frozen=True)
class Pipeline:
    """One pipeline, whole. Raises DeclarationError with every mistake at once."""

    name: str
    start: datetime
    jobs: tuple[SparkJob, ...]
    tables: tuple[Table, ...]
    schedule: str | None = None
    checks: tuple[Check, ...] = ()
    answers: tuple[str, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    max_parallel_runs: int = 1
    description: str = ""

    def __post_init__(self) -> None:
        mistakes = list(_mistakes(self))
        if mistakes:
            lines = "\n".join(f"- {mistake}" for mistake in mistakes)
            raise DeclarationError(f"Pipeline {self.name!r} cannot be built:\n{lines}")

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

    def job(self, name: str) -> SparkJob:
        return next(job for job in self.jobs if job.name == name)


def _mistakes(pipeline: Pipeline) -> Iterator[str]:
    if not PIPELINE_NAME.match(pipeline.name):
        yield (
            f"name {pipeline.name!r}: use 1 to 16 lower-case letters and digits, a letter first; "
            "AWS names are built from it"
        )
    if pipeline.start.tzinfo is None:
        yield f"start {pipeline.start}: give it a time zone, e.g. datetime(2016, 4, 1, tzinfo=UTC)"
    if pipeline.max_parallel_runs < 1:
        yield f"max_parallel_runs {pipeline.max_parallel_runs}: at least 1"
    if not pipeline.jobs:
        yield "no jobs: declare at least one SparkJob"
    yield from _name_mistakes(pipeline)
    yield from _reference_mistakes(pipeline)


def _name_mistakes(pipeline: Pipeline) -> Iterator[str]:
    groups = {
        "job": [job.name for job in pipeline.jobs],
        "table": [table.name.lower() for table in pipeline.tables],
        "check": [check.name.lower() for check in pipeline.checks],
        "answer": list(pipeline.answers),
    }
    for kind, names in groups.items():
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{kind} {name!r} is declared {count} times: give each its own name"
            if not IDENTIFIER.match(name):
                yield f"{kind} {name!r}: use letters, digits and _, a letter first"
    for job in pipeline.jobs:
        if not job.sources:
            yield f"job {job.name!r} reads nothing: name its sources"


def _reference_mistakes(pipeline: Pipeline) -> Iterator[str]:
    jobs = {job.name for job in pipeline.jobs}
    tables = {table.name for table in pipeline.tables}
    for table in pipeline.staging:
        if table.job not in jobs:
            yield f"table {table.name!r} takes the output of job {table.job!r}, which is not declared"
    for check in pipeline.checks:
        for named in _tables_of(check) - tables:
            yield f"check {check.name!r} names table {named!r}, which is not declared"
        if isinstance(check, Complete) and check.job not in jobs:
            yield f"check {check.name!r} names job {check.job!r}, which is not declared"


def _tables_of(check: Check) -> set[str]:
    if isinstance(check, References):
        return {check.table, check.to_table}
    if isinstance(check, Complete):
        return {check.staging, check.fact}
    return {check.table}
