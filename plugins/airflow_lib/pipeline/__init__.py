"""The classes in which a pipeline is declared: data only, no behaviour.

`declaration` says whether one can work. What is done with one is elsewhere: jobs in `spark.livy`, tables in
`warehouse.publish`, checks in `warehouse.quality`, hardware in `spark.sizing` and `resources`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from airflow_lib.pipeline.answer import Answer
from airflow_lib.pipeline.check import (
    AcceptedValues,
    Between,
    Check,
    Complete,
    Fresh,
    Holds,
    NotNull,
    References,
    RowCount,
    Severity,
    Unique,
)
from airflow_lib.pipeline.intake import Intake, Standing
from airflow_lib.pipeline.job import JobOutput, Source, SparkJob
from airflow_lib.pipeline.table import (
    Append,
    Load,
    Newest,
    OnEmpty,
    Rebuild,
    ReplaceWindow,
    Staging,
    Table,
)
from airflow_lib.pipeline.window import Window, WindowUnit

__all__ = [
    "IDENTIFIER",
    "PIPELINE_NAME",
    "UNKNOWN_ZONE",
    "AcceptedValues",
    "Answer",
    "Append",
    "Between",
    "Check",
    "Complete",
    "Fresh",
    "Hardware",
    "Holds",
    "Intake",
    "JobOutput",
    "Load",
    "Newest",
    "NotNull",
    "OnEmpty",
    "Pipeline",
    "Rebuild",
    "References",
    "ReplaceWindow",
    "RowCount",
    "Severity",
    "Source",
    "SparkJob",
    "Staging",
    "Standing",
    "Table",
    "Unique",
    "Window",
    "WindowUnit",
]

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PIPELINE_NAME = re.compile(r"[a-z][a-z0-9]{0,15}\Z")
# The time zone of a pipeline whose deployment's words a host cannot read (`operators.airflow_run.window_of`).
UNKNOWN_ZONE = ""


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

    `intake` says what a run takes in. `start` has a time zone; `schedule` is a cron expression in `timezone`, None for
    runs that are only triggered, and with windows of days (`window_unit`), which are days of that zone, at most once a
    day; `catchup`: Airflow makes the runs since `start` that it has not made; `max_active_runs` is how many it lets go
    on at once, None its own default, whatever `max_parallel_runs` is: what is beyond that waits for its Spark sessions
    alone. A deployment may say otherwise of these (`MAYFLY_SCHEDULES`). `answers_schema` is the schema of the answers
    that are tables; the EMR cluster is sized for `max_parallel_runs`.
    """

    name: str
    start: datetime
    jobs: tuple[SparkJob, ...]
    tables: tuple[Staging | Table, ...]
    schedule: str | None = None
    window_unit: WindowUnit = WindowUnit.DAY
    checks: tuple[Check, ...] = ()
    answers: tuple[Answer, ...] = ()
    answers_schema: str = "answers"
    hardware: Hardware = field(default_factory=Hardware)
    max_parallel_runs: int = 1
    description: str = ""
    timezone: str = "UTC"
    catchup: bool = False
    max_active_runs: int | None = None
    intake: Intake = field(default_factory=Standing)

    @property
    def staging(self) -> tuple[Staging, ...]:
        return tuple(table for table in self.tables if isinstance(table, Staging))

    @property
    def warehouse_tables(self) -> tuple[Table, ...]:
        """The tables that outlive a run."""
        return tuple(table for table in self.tables if isinstance(table, Table))

    @property
    def windows(self) -> dict[str, ReplaceWindow]:
        """By the tables' names, how those are replaced that are loaded by windows."""
        return {table.name: table.window for table in self.warehouse_tables if table.window is not None}

    def checks_of(self, table: str) -> tuple[Check, ...]:
        """The checks of that table, in the order of declaration."""
        return tuple(check for check in self.checks if check.table == table)

    @property
    def answer_tables(self) -> tuple[Answer, ...]:
        """The answers that are tables."""
        return tuple(answer for answer in self.answers if answer.table)

    def answer(self, name: str) -> Answer:
        """The answer of that name, which must be declared."""
        return next(answer for answer in self.answers if answer.name == name)

    def job_of(self, output: str) -> SparkJob:
        """The job that writes that output, which must be declared."""
        return next(job for job in self.jobs if output in job.output_names)

    def job(self, name: str) -> SparkJob:
        """The job of that name, which must be declared."""
        return next(job for job in self.jobs if job.name == name)

    def upstream(self, job: SparkJob) -> tuple[SparkJob, ...]:
        """The jobs whose outputs that job reads, each once, in the order in which it names them.

        A name that no job writes is left out: `declaration` tells of it.
        """
        writers = {output: other for other in self.jobs for output in other.output_names}
        return tuple(dict.fromkeys(writers[name] for name in job.reads if name in writers))
