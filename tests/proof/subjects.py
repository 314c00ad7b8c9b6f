"""The pipelines that are proved: what their source holds, and what must have come of it in the end.

The windowed one loads its window's days of a source whose other days are not its own. The upserting one loads a second
version of its source into a warehouse that holds the first: what the first brought comes from there alone, so it shows
rows that were lost with a warehouse, and rows that were appended twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from airflow_lib.pipeline import Pipeline, Window
from tests.world import World, upserts
from tests.world.account import BUCKET
from tests.world.job_shapes import PARTITIONED
from tests.world.pipeline import published_of, rows_of, tables_of
from tests.world.spark import put, write_days

# A few days, since each is a file; the first of them are before the run's window, April.
DAYS = Window(date(2016, 3, 30), date(2016, 4, 6))
_LOADED = Window(date(2016, 4, 1), DAYS.end)


Changes = tuple[Callable[[World], None], ...]


@dataclass(frozen=True)
class Subject:
    """`install` puts a stand-in for each job that needs one; `tables` and `published` are what must be there at last.

    `changes` come before the runs that are proved, each after a run of its own.
    """

    name: str
    pipeline: Pipeline
    install: Callable[[World], None]
    tables: Mapping[str, Any]
    published: Mapping[str, Any]
    changes: Changes = ()


def leave(world: World) -> None:
    """No change: the next run finds what the one before it loaded."""


def write_arrivals(world: World) -> None:
    """The job writes the arrivals of `DAYS`, a folder for each."""
    world.jobs.by_name["arrivals"] = partial(write_days, rows=rows_of("arrivals", DAYS))


def _write_reviews(world: World) -> None:
    world.jobs.by_name["reviews"] = upserts.write_reviews


def _renew_reviews(world: World) -> None:
    put(f"s3://{BUCKET}/source/immigration/reviews.csv", b"2")


WINDOWED = Subject("windowed", PARTITIONED, write_arrivals, tables_of(_LOADED), published_of(_LOADED))
UPSERTING = Subject(
    "upserting",
    upserts.PIPELINE,
    _write_reviews,
    upserts.tables_of(1, 2),
    upserts.published_of(1, 2),
    changes=(_renew_reviews,),
)
