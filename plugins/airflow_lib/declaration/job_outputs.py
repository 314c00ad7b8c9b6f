"""Whether the datasets that jobs write can be written, and reach those that take them: other jobs, and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import IDENTIFIER, Pipeline, SparkJob, WindowUnit
from airflow_lib.spark.job_graph import jobs_before
from airflow_lib.warehouse.create_template import columns
from airflow_lib.warehouse.sql import ROOT


def job_output_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """The outputs that cannot be told apart, that nothing takes or writes, and the windows that do not fit."""
    yield from _name_mistakes(pipeline)
    yield from _circle_mistakes(pipeline)
    for job in pipeline.jobs:
        yield from _reading_mistakes(pipeline, job)
        yield from _partition_mistakes(pipeline, job, root)


def _name_mistakes(pipeline: Pipeline) -> Iterator[str]:
    names = [name for job in pipeline.jobs for name in job.output_names]
    # Of jobs of one name `names` tells.
    by_job = {job.name: job.output_names for job in pipeline.jobs}
    for name, count in Counter(name.lower() for given in by_job.values() for name in given).items():
        if count > 1:
            yield (
                f"output {name!r} is declared {count} times: give each output of a pipeline its own name "
                "(a job without `outputs` has one of its own name)"
            )
    taken = {table.output for table in pipeline.staging} | {
        name for job in pipeline.jobs for name in job.reads
    }
    for name in dict.fromkeys(names):
        if not IDENTIFIER.match(name):
            yield f"output {name!r}: use letters, digits and _, no digit first; it is the name of a folder"
        elif name.startswith("_"):
            yield f"output {name!r}: Spark reads no folder whose name begins with _: choose another name"
    for job in pipeline.jobs:
        for name in job.output_names:
            if name not in taken:
                yield (
                    f"job {job.name!r}: no table takes its output {name!r}, and no job reads it: declare "
                    f"Staging(…, output={name!r}), or leave it out"
                )


def _circle_mistakes(pipeline: Pipeline) -> Iterator[str]:
    circle = [
        job.name
        for job in pipeline.jobs
        if job not in pipeline.upstream(job) and job.name in jobs_before(pipeline, job)
    ]
    if circle:
        yield (
            f"jobs {', '.join(map(repr, circle))} wait for each other in a circle, since each reads what another of "
            "them writes: let one of them read its sources only"
        )


def _reading_mistakes(pipeline: Pipeline, job: SparkJob) -> Iterator[str]:
    outputs = [name for other in pipeline.jobs for name in other.output_names]
    for name in job.reads:
        if name in job.output_names:
            yield f"job {job.name!r} reads its own output {name!r}: it cannot be there before the job has run"
        elif name not in outputs:
            yield (
                f"job {job.name!r} reads output {name!r}, which no job writes: declare it in the `outputs` of one, or "
                f"correct the name{did_you_mean(name, outputs)}"
            )
    windowed = [other.name for other in pipeline.upstream(job) if other.windowed and other != job]
    if windowed and not job.windowed:
        remedy = (
            f"let {windowed[0]!r} be partitioned, too, in place of windowed"
            if job.partitioned_by is not None
            else f"declare it windowed, too, or let {windowed[0]!r} not be"
        )
        yield (
            f"job {job.name!r} reads what the windowed job {windowed[0]!r} writes for each window anew, so its own "
            f"output is of one window as well, but would be taken for that of all: {remedy}"
        )


def _partition_mistakes(pipeline: Pipeline, job: SparkJob, root: Path) -> Iterator[str]:
    column = job.partitioned_by
    if column is None:
        return
    where = f"job {job.name!r}: partitioned_by {column!r}"
    if not IDENTIFIER.match(column):
        yield f"{where}: use letters, digits and _, no digit first; it is the name of a column"
    if job.windowed:
        yield (
            f"{where}: a partitioned job writes for all windows at once, a windowed one for each anew: leave one of "
            "the two out"
        )
    if pipeline.window_unit is not WindowUnit.DAY:
        yield (
            f"{where}: a partition is a day, but the windows are instants: declare the job windowed, or "
            "window_unit=WindowUnit.DAY"
        )
    for table in pipeline.staging:
        if table.output in job.output_names:
            yield from _missing_column(pipeline, table.name, where, column, root)


def _missing_column(pipeline: Pipeline, table: str, where: str, column: str, root: Path) -> Iterator[str]:
    """COPY takes columns from files, not from the names of their folders, so the files hold that column, too."""
    try:
        names = [one.name for one in columns(pipeline.name, table, root=root)]
    except WarehouseError:
        return  # `templates` tells of it
    if column.lower() not in {name.lower() for name in names}:
        yield (
            f"{where} is no column of {pipeline.name}/create/{table}.sql, which takes its output: correct the one or "
            f"the other{did_you_mean(column, names)}"
        )
