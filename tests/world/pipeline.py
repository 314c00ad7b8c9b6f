"""The small pipeline that runs in worlds: what it declares, what its jobs write, and where its SQL is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jinja2 import Environment, FileSystemLoader

from airflow_lib.pipeline import (
    Answer,
    Complete,
    NotNull,
    Pipeline,
    Rebuild,
    References,
    ReplaceWindow,
    RowCount,
    SparkJob,
    Staging,
    Table,
    Window,
)
from airflow_lib.warehouse import sql

PIPELINE = Pipeline(
    name="immigration",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(
        SparkJob("arrivals", sources=("arrivals.csv", "labels.sas"), windowed=True),
        SparkJob("airports", sources=("airports.csv",)),
    ),
    tables=(
        Staging("staging_arrivals", output="arrivals"),
        Staging("staging_airports", output="airports"),
        Table("airports", Rebuild(), key=("code",), prune=True),
        # Without a key: that no row is there twice is the doing of replacing the window alone.
        Table("arrivals", ReplaceWindow("day")),
    ),
    checks=(
        NotNull("arrivals", ("id", "day", "airport")),
        References("arrivals", "airport", "airports", "code"),
        Complete("arrivals", staging="staging_arrivals"),
    ),
    answers=(
        Answer("airports_by_use", table=True, checks=(RowCount("airports_by_use", at_least=1),)),
        Answer("arrivals_by_airport"),
    ),
)
APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))

TEMPLATES = Path(__file__).parent / "sql_templates"
# The last one is never used: it is for `prune` to drop.
_AIRPORTS = {"JFK": "New York", "LAX": "Los Angeles", "ORD": "Chicago", "XXX": "Nowhere"}

Row = dict[str, Any]


def rows_of(job: str, window: Window) -> list[Row]:
    """What a job writes, in its staging table's order of columns: an arrival a day, and every airport."""
    if job == "airports":
        return [{"code": code, "city": city} for code, city in _AIRPORTS.items()]
    used = list(_AIRPORTS)[:-1]
    return [
        {
            "id": int(f"{day:%Y%m%d}"),
            "day": day.isoformat(),
            "airport": used[day.toordinal() % len(used)],
        }
        for day in _days(window)
    ]


def _days(window: Window) -> Iterator[date]:
    for number in range((window.end - window.start).days):
        yield window.start + timedelta(days=number)


def tables_of(*windows: Window) -> dict[str, list[tuple[Any, ...]]]:
    """What `World.tables` returns once these windows are loaded, however often and in whatever parts."""
    arrivals = {tuple(row.values()) for window in windows for row in rows_of("arrivals", window)}
    used = {airport for *_, airport in arrivals}
    airports = [(code, city) for code, city in _AIRPORTS.items() if code in used]
    return {"airports": sorted(airports), "arrivals": sorted(arrivals)}


def published_of(*windows: Window) -> dict[str, list[list[str]]]:
    """What `World.published` returns once these windows are loaded."""
    tables = tables_of(*windows)
    uses = Counter(airport for *_, airport in tables["arrivals"])
    ranked = sorted(tables["airports"], key=lambda one: (-uses[one[0]], one[0]))
    rows = {
        "airports_by_use": [[code, str(uses[code])] for code, _ in ranked],
        "arrivals_by_airport": [[code, city, str(uses[code])] for code, city in ranked],
    }
    return {f"{name}/{kind}/{name}_000.{kind}": rows[name] for name in rows for kind in ("csv", "parquet")}


@cache
def sql_environment(root: Path) -> Environment:
    """The library's own Jinja environment, which finds the small pipeline's templates too.

    In place of `airflow_lib.warehouse.sql._environment`; one for all worlds, since compiling takes longer than a run.
    """
    both = lambda one: FileSystemLoader([one, TEMPLATES])  # noqa: E731
    with patch.object(sql, "FileSystemLoader", both):
        return _OWN_ENVIRONMENT.__wrapped__(root)


_OWN_ENVIRONMENT = sql._environment
