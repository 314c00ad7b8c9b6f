"""What the tests of a loaded run share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from airflow_lib.pipeline import (
    Check,
    Holds,
)
from airflow_lib.steps import Json, Run
from tests.world import World
from tests.world.pipeline import APRIL, PIPELINE, rows_of
from tests.world.spark import Days, Inputs, Targets, put, write_rows
from tests.world.sqlite_redshift import read_schemas

MakeRun = Callable[..., Run]
FAILS = Holds("no_arrivals", "arrivals", "1 = 0")


def schemas(world: World) -> Iterable[str]:
    (content,) = world.warehouses.contents.values()
    return read_schemas(content)


def with_checks(run: Run, *checks: Check) -> Run:
    return replace(run, pipeline=replace(PIPELINE, checks=checks))


def renamed(inputs: Inputs, targets: Targets, rejected: str, window: Days | None) -> Json:
    rows = [{**row, "city": "New name"} for row in rows_of("airports", APRIL)]
    return write_rows(inputs, targets, rejected, window, rows)


def corrected(inputs: Inputs, targets: Targets, rejected: str, window: Days | None) -> Json:
    rows = [{**row, "airport": "JFK"} for row in rows_of("arrivals", APRIL)]
    return write_rows(inputs, targets, rejected, window, rows)


def no_rows(inputs: Inputs, targets: Targets, rejected: str, window: Days | None) -> Json:
    for target in targets.values():
        put(target + "_SUCCESS", b"")
    return {"read": 30, "written": 0, "rejected": {}}
