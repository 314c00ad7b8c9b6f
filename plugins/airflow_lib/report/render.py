"""A run's report as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

All that is shown goes through Jinja's autoescape, and through `words.bounded` before it. The page forbids the browser
whatever it does not hold itself (Content-Security-Policy), even where something should get past the escaping.
A page is at most MAX_BYTES long: where a run has more to tell, less of each is shown, and the page says so.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from airflow_lib.bounded_json import as_text
from airflow_lib.report import sections, words
from airflow_lib.report.charts import draw_chart
from airflow_lib.report.clusters import list_lifetimes
from airflow_lib.report.critical_path import find_critical_path
from airflow_lib.report.facts import ReportFacts, TaskFacts, Verdict, began_of, ended_of
from airflow_lib.report.timeline import LEFT, RIGHT, TOP, WIDTH, draw_timeline
from airflow_lib.report.words import Bounds

MAX_BYTES = 2 * 1024 * 1024

# The first that makes a page which is small enough. The last makes one whatever it is given.
BOUNDS = (
    Bounds(items=400, rows=100, columns=40, text=400, long=8000),
    Bounds(items=120, rows=25, columns=15, text=150, long=2000),
    Bounds(items=30, rows=5, columns=6, text=60, long=300),
)

_ONE_LINE = 34  # characters: of a cell that is not broken
_HERE = Path(__file__).parent
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_TITLES = {Verdict.GREEN: "Green", Verdict.IDLE: "Nothing to do", Verdict.RED: "Red"}
_VERDICT = "verdict"
_NEVER_STARTED = frozenset({None, "upstream_failed", "skipped", "removed"})


def render_report(facts: ReportFacts) -> str:
    """The page, as HTML of at most MAX_BYTES in UTF-8."""
    for bounds in BOUNDS:
        page = _render(facts, bounds)
        if page is not None:
            return page
    raise AssertionError(f"the shortest page is longer than {MAX_BYTES} bytes")


def console_url(uri: str, region: str) -> str:
    """Where AWS's console shows an S3 URI; empty where it is none. A URI with a slash at its end is a folder."""
    uri = as_text(uri)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not region:
        return ""
    host = next(
        (host for start, host in _CONSOLES.items() if region.startswith(start)), "console.aws.amazon.com"
    )
    kind = "buckets" if not key or key.endswith("/") else "object"
    query = urlencode({"region": region, "prefix": key}, quote_via=quote, safe="/")
    return f"https://{host}/s3/{kind}/{quote(bucket, safe='')}?{query}"


def _render(facts: ReportFacts, bounds: Bounds) -> str | None:
    """The page; None as soon as it is known to be longer than MAX_BYTES."""
    parts, size = [], 0
    for part in _environment(bounds).get_template("page.html.j2").generate(_context(facts, bounds)):
        parts.append(part)
        size += len(part.encode())
        if size > MAX_BYTES:
            return None
    return "".join(parts)


def _context(facts: ReportFacts, bounds: Bounds) -> dict[str, Any]:
    """What the template is given."""
    timed = facts.timed
    path = find_critical_path(facts)
    lifetimes = list_lifetimes(facts)
    jobs = sections.list_jobs(facts)
    checks = sections.list_checks(facts)
    inventory = facts.task("release.inventory")
    wall_s = (max(map(ended_of, timed)) - began_of(timed[0])).total_seconds() if timed else None
    style = _style()
    return {
        "facts": facts,
        "title": _TITLES[facts.verdict],
        "style": style,
        "policy": _policy(style),
        "began": began_of(timed[0]) if timed else None,
        "wall_s": wall_s,
        "failed": _list_failed(facts),
        "not_started": [task.id for task in facts.tasks if task.state in _NEVER_STARTED],
        "picture": draw_timeline(timed, path, lifetimes, limit=bounds.items),
        "frame": {"left": LEFT, "right": RIGHT, "top": TOP, "width": WIDTH},
        "path": path,
        "lifetimes": lifetimes,
        "jobs": jobs,
        "tables": sections.list_loaded(facts),
        "checks": checks,
        "unhappy": [check for check in checks if not check.passed],
        "passed": [check for check in checks if check.passed],
        "answers": [(answer, draw_chart(answer)) for answer in sections.list_answers(facts)],
        "plan": sections.list_plan(facts),
        "was_listed": inventory is not None and bool(inventory.result),
        "left": list(dict.fromkeys([*facts.left, *sections.list_inventory(facts, "left")])),
        "kept": sections.list_inventory(facts, "kept"),
        "bounds": bounds,
    }


def _list_failed(facts: ReportFacts) -> list[TaskFacts]:
    """The failed tasks, those whose times are known first, in the order in which they failed.

    The verdict fails of the others, and tells no cause of its own.
    """
    failed = [task for task in facts.tasks if task.state == "failed" and task.id != _VERDICT]
    return sorted(
        failed, key=lambda task: (task.ended is None, task.ended.timestamp() if task.ended else 0.0)
    )


def _environment(bounds: Bounds) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=partial(words.bounded, limit=bounds.text),
    )
    environment.filters.update(
        cell=words.format_cell,
        count=words.format_count,
        seconds=words.format_seconds,
        time=words.format_time,
        clock=words.format_clock,
        long=partial(_long, limit=bounds.long),
    )
    environment.globals.update(
        console_url=console_url, is_number=words.is_number, kind_of=_kind_of, plural=words.plural
    )
    return environment


def _kind_of(value: Any) -> str:
    """How a cell is set: numbers to the right, and what is short in one line."""
    if words.is_number(value):
        return "n"
    return "s" if len(words.format_cell(value)) <= _ONE_LINE else ""


def _long(text: str, limit: int) -> Markup:
    """A text of several lines, longer than others may be. Escaped here, so that `finalize` does not cut it."""
    return Markup.escape(words.bounded(text, limit))


@cache
def _style() -> Markup:
    """The page's style sheet, which is ours: nothing in it is escaped."""
    return Markup((_HERE / "page.css").read_text())  # noqa: S704


def _policy(style: Any) -> str:
    """Nothing is loaded or run, and no style but this one applies."""
    digest = base64.b64encode(hashlib.sha256(str(style).encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
