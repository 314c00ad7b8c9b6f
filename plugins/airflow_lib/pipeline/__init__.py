"""The classes in which a pipeline is declared: data only, no behaviour.

`declaration` says whether one can work. What is done with one is elsewhere: jobs in `spark.livy`, tables in
`warehouse.publish`, checks in `warehouse.quality`, hardware in `spark.sizing` and `resources`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from airflow_lib.pipeline.check import (
    AcceptedValues,
    Check,
    Complete,
    Holds,
    NotNull,
    References,
    Severity,
    Unique,
)
from airflow_lib.pipeline.intake import Intake, Standing
from airflow_lib.pipeline.job import Source, SparkJob
from airflow_lib.pipeline.table import Dimension, Fact, OnEmpty, ReplaceWindow, Staging, Table
from airflow_lib.pipeline.window import Window, WindowUnit

__all__ = [
    "IDENTIFIER",
    "PIPELINE_NAME",
    "AcceptedValues",
    "Check",
    "Complete",
    "Dimension",
    "Fact",
    "Hardware",
    "Holds",
    "Intake",
    "NotNull",
    "OnEmpty",
    "Pipeline",
    "References",
    "ReplaceWindow",
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
    windows of days (`window_unit`) at most once a day; `intake` says what a run takes in; `answers` are the names of
    the questions, files in `sql_templates/<name>/answers/`; the EMR cluster is sized for `max_parallel_runs`.
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
    intake: Intake = field(default_factory=Standing)

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

    def job_of(self, output: str) -> SparkJob:
        """The job that writes that output, which must be declared."""
        return next(job for job in self.jobs if output in job.output_names)

    def job(self, name: str) -> SparkJob:
        """The job of that name, which must be declared."""
        return next(job for job in self.jobs if job.name == name)
