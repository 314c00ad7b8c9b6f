"""A source whose rows a check of severity error refuses, and the trace of such rows in any warehouse or snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.proof.subjects import DAYS, write_arrivals
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import rows_of
from tests.world.spark import put, write_days
from tests.world.sqlite_redshift import read_tables

_NOWHERE = "NOWHERE"  # no airport: References finds it
_SOURCE = f"s3://{BUCKET}/source/immigration/arrivals.csv"


def spoil_arrivals(world: World) -> None:
    """From now on the source holds arrivals at an airport that there is not."""
    put(_SOURCE, b"bad")
    rows = [{**row, "airport": _NOWHERE} for row in rows_of("arrivals", DAYS)]
    world.jobs.by_name["arrivals"] = partial(write_days, rows=rows)


def correct_arrivals(world: World) -> None:
    """The source is put right."""
    put(_SOURCE, b"good again")
    write_arrivals(world)


def find_published(world: World) -> Iterator[str]:
    """The warehouses and snapshots, also those that are no more, in which a bad row was ever committed."""
    for name, content in (*world.warehouses.contents.items(), *world.warehouses.kept.items()):
        (arrivals,) = read_tables(content, ["arrivals"]).values()
        if any(_NOWHERE in row for row in arrivals):
            yield name
