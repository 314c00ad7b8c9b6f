"""Whether the names of a declaration can be used, and name what is declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from airflow_lib.errors import did_you_mean
from airflow_lib.pipeline import (
    IDENTIFIER,
    PIPELINE_NAME,
    Check,
    Complete,
    Holds,
    NotNull,
    Pipeline,
    References,
    Source,
    SparkJob,
    Unique,
)
from airflow_lib.spark.batch import is_pattern
from airflow_lib.warehouse.sql import MAX_IDENTIFIER_BYTES

# The janitor's DAG, and the folder of the templates that all pipelines share.
_RESERVED_PIPELINES = frozenset({"janitor", "shared"})
# Tasks in the groups `transform` and `load`, where each job and each staging table is a task, too.
_RESERVED_JOBS = frozenset({"release_emr"})
_RESERVED_TABLES = frozenset({"create_tables", "load_window"})
_LEDGER = "mayfly_"  # sql_templates/shared/create_ledger.sql


def name_mistakes(pipeline: Pipeline) -> Iterator[str]:
    """The names and values that cannot be used, and those that name nothing declared."""
    yield from _pipeline_mistakes(pipeline)
    yield from _spelling_mistakes(pipeline)
    yield from _reserved_mistakes(pipeline)
    for job in pipeline.jobs:
        yield from _job_mistakes(pipeline, job)
    yield from _staging_mistakes(pipeline)
    for check in pipeline.checks:
        yield from _check_mistakes(pipeline, check)


def _pipeline_mistakes(pipeline: Pipeline) -> Iterator[str]:
    if not PIPELINE_NAME.match(pipeline.name):
        yield (
            f"name {pipeline.name!r}: use 1 to 16 lower-case letters and digits, a letter first; "
            "the names of AWS resources are built from it"
        )
    if pipeline.name in _RESERVED_PIPELINES:
        yield f"name {pipeline.name!r} is Mayfly's own: choose another"
    if pipeline.start.utcoffset() is None:
        yield f"start {pipeline.start}: give it a time zone, e.g. datetime(2016, 4, 1, tzinfo=UTC)"
    if pipeline.max_parallel_runs < 1:
        yield f"max_parallel_runs {pipeline.max_parallel_runs}: set it to at least 1"
    if not pipeline.jobs:
        yield "no jobs: declare at least one SparkJob"


def _spelling_mistakes(pipeline: Pipeline) -> Iterator[str]:
    # Redshift folds the case of a table's name; a file system may fold that of a template's or a job's.
    groups = {
        "job": [job.name for job in pipeline.jobs],
        "table": [table.name for table in pipeline.tables],
        "check": [check.name for check in pipeline.checks],
        "answer": list(pipeline.answers),
    }
    for kind, names in groups.items():
        for name, count in Counter(name.lower() for name in names).items():
            if count > 1:
                yield f"{kind} {name!r} is declared {count} times: give each its own name"
        for name in dict.fromkeys(names):
            if not IDENTIFIER.match(name):
                yield f"{kind} {name!r}: use letters, digits and _, no digit first"
            elif len(name) > MAX_IDENTIFIER_BYTES and kind != "check":
                yield f"{kind} {name!r} has {len(name)} characters: use {MAX_IDENTIFIER_BYTES} at most"


def _reserved_mistakes(pipeline: Pipeline) -> Iterator[str]:
    for job in pipeline.jobs:
        if job.name in _RESERVED_JOBS:
            yield f"job {job.name!r} has the name of one of Mayfly's own tasks: choose another"
    for table in pipeline.tables:
        if table.name in _RESERVED_TABLES:
            yield f"table {table.name!r} has the name of one of Mayfly's own tasks: choose another"
        if table.name.lower().startswith(_LEDGER):
            yield f"table {table.name!r}: names with {_LEDGER} first are those of Mayfly's own tables: choose another"


def _job_mistakes(pipeline: Pipeline, job: SparkJob) -> Iterator[str]:
    if not job.sources:
        yield f"job {job.name!r} has no sources: name at least one"
    if not 0 <= job.max_rejected <= 1:
        yield f"job {job.name!r}: max_rejected {job.max_rejected} is no share: give one from 0 (no row) to 1 (all)"
    for output in set(job.output_names) - {table.output for table in pipeline.staging}:
        yield f"job {job.name!r}: no table takes its output: declare Staging(…, output={output!r}), or leave it out"
    for source in job.sources:
        yield from _source_mistakes(job, source if isinstance(source, Source) else Source(source))


def _source_mistakes(job: SparkJob, source: Source) -> Iterator[str]:
    if not source.names:
        yield f"job {job.name!r}: a Source has no name: give one, or more of which the first that is there is read"
    for name in source.names:
        if not name.strip("/ ") or name.startswith("/") or "//" in name:
            yield (
                f"job {job.name!r}: source {name!r} is no file or folder below the pipeline's source folder: give a "
                "path such as 'cities.csv', 'arrivals/' or 'user*.csv'"
            )
        elif is_pattern(name) and name.endswith("/"):
            yield (
                f"job {job.name!r}: source {name!r} is a pattern for folders, and a pattern stands for files: give "
                f"{name + '*'!r} for those right in such folders, or name one folder"
            )
        elif "**" in name:
            yield (
                f"job {job.name!r}: source {name!r}: * stands for text within one level of the path, and ** for no "
                "more: name a folder, such as 'arrivals/', for all that is in it"
            )
    if len(source.delimiter) != 1:
        yield f"job {job.name!r}: delimiter {source.delimiter!r} of {list(source.names)}: give one character"


def _staging_mistakes(pipeline: Pipeline) -> Iterator[str]:
    for table in pipeline.staging:
        outputs = [output for job in pipeline.jobs for output in job.output_names]
        yield from _undeclared(f"table {table.name!r}", "output", table.output, outputs)


def _check_mistakes(pipeline: Pipeline, check: Check) -> Iterator[str]:
    where = f"check {check.name!r}"
    tables = [table.name for table in pipeline.tables]
    if isinstance(check, Complete):
        staged = {table.name: table.output for table in pipeline.staging}
        jobs = [job.name for job in pipeline.jobs]
        yield from _undeclared(where, "job", check.job, jobs)
        yield from _undeclared(where, "Staging", check.staging, staged)
        yield from _undeclared(where, "Fact", check.fact, [fact.name for fact in pipeline.facts])
        if check.job in jobs and staged.get(check.staging, check.job) != check.job:
            yield f"{where}: {check.staging} takes the output of job {staged[check.staging]!r}, not of {check.job!r}"
        return
    yield from _undeclared(where, "table", check.table, tables)
    if isinstance(check, References):
        yield from _undeclared(where, "table", check.to_table, tables)
    if isinstance(check, NotNull | Unique) and not check.columns:
        yield f"{where} names no columns: name at least one"
    if isinstance(check, Holds) and not check.predicate.strip():
        yield f"{where} has no predicate: write the condition that every row meets"


def _undeclared(where: str, kind: str, name: str, declared: Collection[str]) -> Iterator[str]:
    if name not in declared:
        yield (
            f"{where} names {kind} {name!r}, which is not declared: declare it, or correct the name"
            f"{did_you_mean(name, declared)}"
        )
