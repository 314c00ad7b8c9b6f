"""What the tasks' results say of a run: Spark jobs, tables, checks, answers. What is malformed is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_lib.report.facts import ReportFacts, TaskFacts

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What a Spark job read and wrote. `outputs`, `rejected` (by reason) and `notes` are rows by name.

    `rejects` is the folder of the rejected rows; `reused` says that an earlier run had computed the output.
    """

    name: str
    task: TaskFacts
    read: int
    written: int
    outputs: Mapping[str, int]
    rejected: Mapping[str, int]
    notes: Mapping[str, int]
    rejects: str = ""
    reused: bool = False

    @property
    def rows_rejected(self) -> int:
        return sum(self.rejected.values())


@dataclass(frozen=True)
class Loaded:
    """A table's rows in all, and where it is loaded by windows those of the window, before and now.

    `remark` says where it was left as it was.
    """

    table: str
    total: int | None
    before: int | None = None
    rows: int | None = None
    remark: str = ""


@dataclass(frozen=True)
class Check:
    """What a check found; `samples` are some of the failing rows, by column."""

    name: str
    severity: str
    passed: bool
    failing_rows: int
    failing_rows_before: int = 0
    samples: Sequence[Json] = ()
    sql: str = ""

    @property
    def fails(self) -> bool:
        return not self.passed and self.severity != "warn"

    @property
    def columns(self) -> list[str]:
        """The columns of the samples, in the order in which they are met."""
        return list(dict.fromkeys(name for sample in self.samples for name in sample))


@dataclass(frozen=True)
class Answer:
    """The first rows of an answer; `published` are URIs by format."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    row_count: int
    published: Mapping[str, str] = field(default_factory=dict)


def list_jobs(facts: ReportFacts) -> list[Job]:
    """The jobs that are through, in the order of the tasks."""
    jobs = []
    for name, task, result in _results(facts, "transform"):
        read, written = _count(result.get("read")), _count(result.get("written"))
        if read is not None and written is not None:
            jobs.append(
                Job(
                    name,
                    task,
                    read,
                    written,
                    outputs=_counts(result.get("outputs")),
                    rejected=_counts(result.get("rejected")),
                    notes=_counts(result.get("notes")),
                    rejects=_text(result.get("rejects")),
                    reused=result.get("reused") is True,
                )
            )
    return jobs


def list_loaded(facts: ReportFacts) -> list[Loaded]:
    """The tables as the load left them."""
    loaded = []
    for _, _, result in _results(facts, "load"):
        remarks = {
            **{str(name): "kept: no row came in" for name in _list(result.get("kept"))},
            **{str(name): "had this batch already" for name in _list(result.get("held"))},
        }
        for table, counts in _mapping(result.get("tables")).items():
            rows = _mapping(counts)
            total, before, now = (_count(rows.get(key)) for key in ("total", "before", "rows"))
            loaded.append(Loaded(str(table), total, before, now, remarks.get(str(table), "")))
    return loaded


def list_checks(facts: ReportFacts) -> list[Check]:
    """Each check once: those that fail, those that warn, the others. `verify` is believed before the load."""
    told: dict[str, Check] = {}
    for group in ("load", "verify", "answers"):
        for _, _, result in _results(facts, group):
            for check in map(_check, _list(result.get("checks"))):
                if check is not None:
                    told[check.name] = check
    return sorted(told.values(), key=lambda check: (not check.fails, check.passed))


def list_answers(facts: ReportFacts) -> list[Answer]:
    """The answers that were published."""
    answers = []
    for name, _, result in _results(facts, "answers"):
        columns, rows = result.get("columns"), result.get("rows")
        if not isinstance(columns, list) or not isinstance(rows, list):
            continue
        regular = [row for row in rows if isinstance(row, list) and len(row) == len(columns)]
        published = {str(kind): _text(uri) for kind, uri in _mapping(result.get("published")).items()}
        count = _count(result.get("row_count"))
        answers.append(
            Answer(
                name, [str(column) for column in columns], regular, max(count or 0, len(regular)), published
            )
        )
    return answers


def list_inventory(facts: ReportFacts, key: str) -> list[str]:
    """What the inventory lists as `left` or `kept`."""
    task = facts.task("release.inventory")
    return [_text(item) for item in _list(_mapping(task.result if task else None).get(key))]


def list_plan(facts: ReportFacts) -> list[str]:
    """What `plan` said the run would create."""
    task = facts.task("plan")
    result = _mapping(task.result if task else None)
    lines = [_text(line) for line in _list(result.get("lines"))]
    return lines or ([_text(result["problem"])] if "problem" in result else [])


def _results(facts: ReportFacts, group: str) -> Iterator[tuple[str, TaskFacts, Json]]:
    """(name within the group, task, result) of the group's tasks that returned an object."""
    prefix = f"{group}."
    for task in facts.tasks:
        if task.id.startswith(prefix) and isinstance(task.result, Mapping):
            yield task.id.removeprefix(prefix), task, task.result


def _check(told: Any) -> Check | None:
    check = _mapping(told)
    if not isinstance(check.get("name"), str) or not isinstance(check.get("passed"), bool):
        return None
    return Check(
        check["name"],
        _text(check.get("severity") or "error"),
        check["passed"],
        _count(check.get("failing_rows")) or 0,
        _count(check.get("failing_rows_before")) or 0,
        samples=[sample for sample in _list(check.get("samples")) if isinstance(sample, Mapping)],
        sql=_text(check.get("sql") or ""),
    )


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _counts(value: Any) -> dict[str, int]:
    return {str(name): rows for name, rows in _mapping(value).items() if _count(rows) is not None}
