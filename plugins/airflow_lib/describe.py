"""What Airflow's UI says about a pipeline and each of its tasks, as Markdown, from the declaration alone.

It is made when the DAG is parsed, so it reads no file and asks nobody. What a declaration's author wrote is escaped: it
is shown as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from airflow_lib.naming import Slot
from airflow_lib.pipeline import (
    Append,
    Check,
    JobOutput,
    Newest,
    Pipeline,
    Rebuild,
    ReplaceWindow,
    Severity,
    Source,
    SparkJob,
    Table,
    WindowUnit,
)
from airflow_lib.steps import Step
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.provision import EnsureEmr, EnsureWarehouse, TakeLease
from airflow_lib.steps.release import ReleaseSlot, TakeInventory
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.verify import VerifyTable

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>:=@$^])")
_AGAIN = "A retry or a clear of it"

_WHERE_TO_LOOK = (
    "A red run: the task `verdict` says at the end of its log what failed first, and what to do. Then clear that task, "
    "with those downstream of it. Nothing is loaded twice, whatever is cleared."
)
PLAN = (
    "Says which clusters the run will create, and how big they are. It touches nothing and cannot fail.\n\n"
    f"{_AGAIN} says it anew.\n\nWhere to look: its log and its XCom have the plan, line by line."
)
VERDICT = (
    "Red where any task of the run failed or never started, so that the run is red; it names the one that failed first "
    f"and its cause, and notifies.\n\n{_AGAIN} judges the run as it is now, and notifies again where it is red.\n\n"
    "Where to look: the end of its log says what to do."
)
JANITOR = (
    "Removes what outlived its lease in every environment of the deployment, every quarter of an hour.\n\n"
    "A pass that failed is not tried again: the next one goes on with what it left. Nothing is touched but what has "
    "Mayfly's name and tag.\n\n"
    "Where to look: its XCom says what was found, and its log what was removed."
)


def describe_dag(pipeline: Pipeline) -> str:
    """The DAG's page: what it takes in, its jobs, tables, checks and answers, its schedule and windows."""
    parts = [
        f"# {_text(pipeline.name)}",
        _text(pipeline.description),
        _describe_schedule(pipeline),
        "## Jobs",
        _rows(("job", "takes in", "writes", "for"), (_job(job) for job in pipeline.jobs)),
        "## Tables",
        _rows(("table", "load", "key"), (_table(table) for table in pipeline.warehouse_tables)),
        "## Checks",
        _rows(("check", "table", "kind", "severity"), (_check(check) for check in _all_checks(pipeline))),
        "## Answers",
        _rows(
            ("answer", "published to S3 as"),
            (
                (one.name, "Parquet and CSV" + (", and a table" if one.table else ""))
                for one in pipeline.answers
            ),
        ),
        "A check of severity error keeps a load from being committed; one of severity warn is only reported.",
        _WHERE_TO_LOOK,
    ]
    return "\n\n".join(part for part in parts if part)


def describe_step(pipeline: Pipeline, step: Step) -> str:
    """A task's page: what it does, what a retry or a clear of it does, and where to look."""
    match step:
        case RunJob(job=name):
            return _describe_job(pipeline.job(name))
        case CopyStaging(table=name):
            output = next(table.output for table in pipeline.staging if table.name == name)
            return _page(
                f"COPY of the output {_text(output)} into the run's own staging table {_text(name)}.",
                "copies from the start, into an empty table",
                'the COPY is under "Rendered Templates"; rows that Redshift refused are named in the log',
            )
        case VerifyTable(table=name):
            checks = _rows(
                ("check", "table", "kind", "severity"), (_check(one) for one in pipeline.checks_of(name))
            )
            return _page(
                f"Tells what the load's checks found in the table {_text(name)}, and asks its checks of severity warn."
                f"\n\n{checks}",
                "tells and asks again, and changes nothing",
                'each check\'s SELECT is under "Rendered Templates"; the XCom has its failing rows and samples of them',
            )
        case PublishAnswer(name=name):
            return _page(
                f"Asks the question {_text(name)}, and publishes its rows to S3 as Parquet and CSV.",
                "asks again, and replaces the files",
                'the query is under "Rendered Templates", the first rows are in the log and the XCom, the files are '
                "behind the link",
            )
        case ReleaseSlot(slot=slot):
            return _describe_release(slot)
        case _:
            return _PAGES.get(type(step), "")


def _page(does: str, again: str, look: str) -> str:
    return f"{does}\n\n{_AGAIN} {again}.\n\nWhere to look: {look}."


_PAGES: dict[type, str] = {
    Preflight: _page(
        "Checks all that a person would have to correct, before anything is created: credentials, sources and their "
        "columns, sizes, network, the window. Then it fixes which files the run takes in. Where there is nothing to "
        "do, the tasks after it are skipped, and the run is green.",
        "checks again; a clear takes in the files that are there now, a retry those of the first try",
        "its log lists every mistake at once",
    ),
    TakeLease: _page(
        "Takes the run's leases on the clusters, so that no other run tears them down.",
        "renews them",
        "the register in S3 says who holds what; the log says who is waited for",
    ),
    EnsureEmr: _page(
        "Creates the EMR cluster, or uses the one that another run has made; waits until its Livy answers. Not needed "
        "where every job's output is there already.",
        "adopts what is there, and makes no second cluster",
        "the EMR console, behind the link; AWS's reason is in the log where a cluster ended",
    ),
    EnsureWarehouse: _page(
        "Creates the Redshift cluster: restored from its last snapshot, or empty where there never was one; or uses "
        "the one that another run has made. Waits until it takes connections.",
        "adopts what is there, and makes no second cluster",
        "the Redshift console, behind the link, with the cluster's events",
    ),
    CreateTables: _page(
        "Creates the tables that are absent, adds columns that their templates have more, and drops the staging of "
        "runs that are over.",
        "finds them there",
        'the statements are under "Rendered Templates"',
    ),
    LoadWindow: _page(
        "One transaction: each table's rows as its load says, the checks of severity error, the ledger. Rolled back "
        "where a check finds rows that the load brought, or where the window would be emptied.",
        "loads the same again and ends in the same tables: nothing is loaded twice",
        'the statements are under "Rendered Templates", the rows of each table and the verdicts in the XCom',
    ),
    TakeInventory: _page(
        "Lists by tag what is left in the account and what is kept; red where anything is left.",
        "lists again",
        "the log and the XCom name what is left",
    ),
}


def _describe_release(slot: Slot) -> str:
    what = "EMR cluster" if slot is Slot.EMR else "warehouse"
    saved = "" if slot is Slot.EMR else ", after a final snapshot"
    return _page(
        f"Gives up the run's lease on the {what}. The last run that holds it tears it down{saved}; where further runs "
        "are to come, it may be kept for them.",
        "goes on with the teardown where it stopped",
        "the log says whether it was torn down, or who holds it",
    )


def _describe_job(job: SparkJob) -> str:
    share = f"{job.max_rejected:.0%}"
    return _page(
        f"Runs the Spark job {_text(job.name)} in a Livy session of its own. It takes in {_sources(job)} and writes "
        f"{_list(job.output_names)}. Red where more than {share} of the rows are rejected. What is complete is not "
        "computed again.",
        "finds its session and goes on watching it, or begins a new one where that failed",
        "Livy's log is in this task's log, and behind the link while the session lives; rows read, written and "
        "rejected are in the XCom",
    )


def _describe_schedule(pipeline: Pipeline) -> str:
    runs = (
        "Runs are only triggered."
        if pipeline.schedule is None
        else f"Runs on the schedule {_text(pipeline.schedule)} ({_text(pipeline.timezone or 'UTC')}), from "
        f"{pipeline.start:%Y-%m-%d}."
    )
    past = " Airflow makes the runs since then that are missing." if pipeline.catchup else ""
    what = (
        f"whole days ({_text(pipeline.timezone or 'UTC')})"
        if pipeline.window_unit is WindowUnit.DAY
        else "any stretch of time, in UTC"
    )
    return (
        f"{runs}{past} A run loads a window of {what}: its data interval, or what its params `window_start` and "
        "`window_end` say. `force` computes and loads all the same, whatever is there already."
    )


def _job(job: SparkJob) -> tuple[str, ...]:
    scope = "every window: one output for all"
    if job.partitioned_by is not None:
        scope = f"its window's days, by {job.partitioned_by}"
    elif job.windowed:
        scope = "its window"
    return job.name, ", ".join(_source_names(job)), ", ".join(job.output_names), scope


def _table(table: Table) -> tuple[str, ...]:
    match table.load:
        case ReplaceWindow(column=column):
            load = f"the window's rows are replaced, by {column}"
        case Newest(by=by):
            load = f"the newest row of a key stays, by {by}" if by else "the newest row of a key stays"
        case Rebuild():
            load = "rebuilt by each load"
        case Append():
            load = "added once for each batch"
    return table.name, load + (", unreferenced rows go" if table.prune else ""), ", ".join(table.key)


def _check(check: Check) -> tuple[str, ...]:
    return check.name, check.table, type(check).__name__, str(Severity(check.severity))


def _all_checks(pipeline: Pipeline) -> list[Check]:
    return [*pipeline.checks, *(check for answer in pipeline.answers for check in answer.checks)]


def _source_names(job: SparkJob) -> Iterable[str]:
    for source in job.sources:
        match source:
            case JobOutput(name=name):
                yield f"the output {name}"
            case Source(names=names):
                yield " or ".join(names)
            case _:
                yield source


def _sources(job: SparkJob) -> str:
    return _list(_source_names(job))


def _list(names: Iterable[str]) -> str:
    return ", ".join(_text(name) for name in names)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, or that there is nothing to put into it."""
    lines = [f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) if lines else "None."


def _text(value: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = " ".join(value.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _PUNCTUATION.sub(r"\\\1", line)
