"""A run's report, as a JSON document and as text. Pure functions, without input or output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.airflow.client import TaskRun

Json = dict[str, Any]

_GANTT_WIDTH = 48
_OF_AN_ANSWER = ("columns", "rows", "row_count", "published")


@dataclass(frozen=True)
class RunFacts:
    """What is known of a finished run; `results` holds what each task returned, by task id."""

    state: str
    wall_s: float
    tasks: Sequence[TaskRun]
    results: Mapping[str, Any]
    leftovers: Sequence[Any] = ()
    kept: Sequence[Any] = ()
    calls: Mapping[str, int] = field(default_factory=dict)


def build_report(facts: RunFacts) -> Json:
    """The document that `--report` writes; it omits what a failed run did not reach."""
    results = facts.results
    return {
        "state": facts.state,
        "wall_s": round(facts.wall_s, 3),
        "nothing_to_do": nothing_to_do(results),
        "tasks": [
            {"task_id": task.name, "state": task.state, "start": _iso(task.start), "end": _iso(task.end)}
            for task in facts.tasks
        ],
        "jobs": _jobs(results),
        "tables": _tables(results),
        "checks": _checks(results),
        "answers": _answers(results),
        "inventory": list(facts.leftovers),
        "kept": list(facts.kept),
        "calls": dict(facts.calls),
    }


def is_green(report: Json) -> bool:
    """Whether the run succeeded and left no resources behind."""
    return report["state"] == "success" and not report["inventory"]


def nothing_to_do(results: Mapping[str, Any]) -> str:
    """Why the preflight ended the run; empty where it had work."""
    told = results.get("provision.preflight")
    return str(told.get("nothing_to_do", "")) if isinstance(told, Mapping) else ""


def _jobs(results: Mapping[str, Any]) -> Json:
    jobs = {}
    for name, result in _group(results, "transform"):
        if "read" in result and "written" in result:
            jobs[name] = {
                "read": result["read"],
                "written": result["written"],
                "rejected": result.get("rejected") or {},
                **({"rejects": result["rejects"]} if result.get("rejects") else {}),
                **({"notes": result["notes"]} if result.get("notes") else {}),
            }
    return jobs


def _tables(results: Mapping[str, Any]) -> Json:
    tables: Json = {}
    for _, result in _group(results, "load"):
        tables.update(result.get("tables") or {})
    return tables


def _checks(results: Mapping[str, Any]) -> list[Json]:
    """What `verify` tells; where it was not reached, what the load found."""
    told = [result for group in ("load", "verify") for _, result in _group(results, group)]
    checks = [check for result in told for check in result.get("checks") or () if "passed" in check]
    return [
        {
            "name": check["name"],
            "severity": check.get("severity", "error"),
            "passed": check["passed"],
            "failing_rows": check.get("failing_rows", 0),
            **({"samples": check["samples"]} if check.get("samples") else {}),
        }
        for check in {check["name"]: check for check in checks}.values()
    ]


def _answers(results: Mapping[str, Any]) -> Json:
    return {
        name: {key: result[key] for key in _OF_AN_ANSWER if key in result}
        for name, result in _group(results, "answers")
        if "columns" in result and "rows" in result
    }


def _group(results: Mapping[str, Any], group: str) -> list[tuple[str, Json]]:
    """(name within the group, result) of the group's tasks that returned an object."""
    prefix = f"{group}."
    return [
        (task_id.removeprefix(prefix), result)
        for task_id, result in results.items()
        if task_id.startswith(prefix) and isinstance(result, dict)
    ]


def timeline(tasks: Sequence[TaskRun], width: int = _GANTT_WIDTH) -> list[str]:
    """One line for each task that ran, by start time: its start, its duration, and a bar on the run's time axis."""
    ran = sorted((task for task in tasks if task.start and task.end), key=lambda task: _at(task.start))
    if not ran:
        return []
    zero = _at(ran[0].start)
    span = max(_at(task.end) for task in ran) - zero or 1.0
    label = max(len(task.name) for task in ran)
    lines = []
    for task in ran:
        begin, end = _at(task.start) - zero, _at(task.end) - zero
        first = min(int(begin / span * width), width - 1)
        length = max(1, min(round((end - begin) / span * width), width - first))
        bar = " " * first + ("█" if task.state == "success" else "▒") * length
        lines.append(f"{task.name:<{label}} {begin:6.1f} s {end - begin:6.1f} s  {bar}".rstrip())
    return lines


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], limit: int | None = None) -> list[str]:
    """Rows as aligned text: numbers to the right, nulls empty, at most `limit` rows and the count of the others."""
    shown = [[_cell(value) for value in row] for row in (rows if limit is None else rows[:limit])]
    widths = [max(len(column), *(len(row[i]) for row in shown), 1) for i, column in enumerate(columns)]
    numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ]
        return "  ".join(parts).rstrip()

    lines = [line(columns), line(["-" * width for width in widths]), *(line(row) for row in shown)]
    if limit is not None and len(rows) > limit:
        lines.append(f"... {len(rows) - limit} more")
    return lines


def summary(report: Json, tasks: Sequence[TaskRun]) -> list[str]:
    """The report as text, section by section, without empty sections."""
    sections = {
        "Nothing to do": [report["nothing_to_do"]] if report["nothing_to_do"] else [],
        "Spark jobs": _jobs_text(report["jobs"]),
        "Tables": _tables_text(report["tables"]),
        "Checks": _checks_text(report["checks"]),
        **{f"Answer: {name}": _answer_text(answer) for name, answer in report["answers"].items()},
        "Timeline": timeline(tasks),
        "Kept": [describe(item) for item in report["kept"]],
        "Left behind": [describe(item) for item in report["inventory"]] or ["nothing"],
    }
    lines = []
    for title, content in sections.items():
        if content:
            lines += ["", title, "=" * len(title), *content]
    return lines


def _jobs_text(jobs: Json) -> list[str]:
    rows = [
        [name, job["read"], job["written"], _counts(job["rejected"]), _counts(job.get("notes", {}))]
        for name, job in jobs.items()
    ]
    rejects = [f"rejected by {name}: {job['rejects']}" for name, job in jobs.items() if "rejects" in job]
    return _if_any([*table(["job", "read", "written", "rejected", "notes"], rows), *rejects], rows)


def _tables_text(tables: Json) -> list[str]:
    """A dimension belongs to no window: only a fact has rows of one."""
    rows = [
        [name, counts.get("before"), counts.get("rows"), counts["total"]] for name, counts in tables.items()
    ]
    return _if_any(table(["table", "window before", "rows of the window", "rows in all"], rows), rows)


def _checks_text(checks: Sequence[Json]) -> list[str]:
    rows = [
        [
            "passed" if check["passed"] else ("WARNS" if check["severity"] == "warn" else "FAILS"),
            check["failing_rows"],
            check["name"],
        ]
        for check in checks
    ]
    return _if_any(table(["verdict", "failing rows", "check"], rows), rows)


def _answer_text(answer: Json) -> list[str]:
    more = answer.get("row_count", 0) - len(answer["rows"])
    lines = table(answer["columns"], answer["rows"])
    lines += [f"... {more} more"] if more > 0 else []
    return [*lines, *answer.get("published", {}).values()]


def _if_any(lines: list[str], content: Any) -> list[str]:
    return lines if content else []


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def describe(item: Any) -> str:
    """A resource of an inventory as one line."""
    if isinstance(item, dict):
        return " ".join(str(item[key]) for key in ("kind", "name", "state") if item.get(key)) or json.dumps(
            item
        )
    return str(item)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _at(moment: datetime | None) -> float:
    assert moment is not None
    return moment.timestamp()
