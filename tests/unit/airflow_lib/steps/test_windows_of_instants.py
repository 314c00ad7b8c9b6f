"""A pipeline that runs every ten minutes: each run loads its own ten minutes, once."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_lib.pipeline import Complete, Fact, Pipeline, SparkJob, Staging, Window, WindowUnit
from airflow_lib.steps import Run
from airflow_lib.steps.plan import describe_plan
from airflow_lib.steps.transform import render_statement, resolve_job
from tests.world import World
from tests.world.spark import put
from tests.world.walk import walk

PIPELINE = Pipeline(
    name="immigration",  # one that has Spark code: outputs are addressed by it
    start=datetime(2016, 4, 1, tzinfo=UTC),
    schedule="*/10 * * * *",
    window_unit=WindowUnit.INSTANT,
    jobs=(SparkJob("readings", sources=("arrivals.csv",), windowed=True),),
    tables=(Staging("staging_readings", job="readings"), Fact("readings", key="id", window_column="read_at")),
    checks=(Complete(job="readings", staging="staging_readings", fact="readings"),),
)
MIDNIGHT = datetime(2016, 4, 2, tzinfo=UTC)
# Four runs in a row, about midnight.
WINDOWS = [
    Window(MIDNIGHT + timedelta(minutes=10 * number), MIDNIGHT + timedelta(minutes=10 * (number + 1)))
    for number in range(-2, 2)
]


def readings_of(*windows: Window) -> list[dict[str, Any]]:
    """At the first and at the last moment of each window, and within."""
    moments = [
        moment
        for window in windows
        for moment in (
            window.start,
            window.start + timedelta(minutes=3, seconds=20),
            window.end - timedelta(microseconds=1),
        )
    ]
    return [
        {
            "id": (moment - MIDNIGHT) // timedelta(microseconds=1),
            "read_at": moment.replace(tzinfo=None).isoformat(sep=" "),
        }
        for moment in moments
    ]


def write_readings(inputs: list[str], target: str, rejected: str, window: tuple[str, str]) -> dict[str, Any]:
    """The stand-in job: it is told its window as two ISO instants, and reads them as any library would."""
    start, end = (datetime.fromisoformat(moment) for moment in window)
    rows = readings_of(Window(start, end))
    put(target + "part-00000.parquet", json.dumps(rows).encode())
    put(target + "_SUCCESS", b"")
    return {"read": len(rows), "written": len(rows), "rejected": {}}


@pytest.fixture
def meters(world: World) -> World:
    world.wire.lag.lag_s = 0  # not about IAM
    world.put_sources(PIPELINE)
    world.jobs.by_name["readings"] = write_readings
    return world


def loaded(world: World) -> list[tuple[Any, ...]]:
    return world.tables(PIPELINE)["readings"]


@pytest.mark.parametrize("seed", [1, 2])
def test_each_run_loads_its_own_ten_minutes_once_whatever_their_order(meters: World, seed: int) -> None:
    windows = [*WINDOWS, WINDOWS[1]]
    random.Random(seed).shuffle(windows)
    for number, window in enumerate(windows):
        run = meters.run(f"run{number}", pipeline=PIPELINE, window=window)
        assert walk(meters, run).errors == {}
        assert {tuple(row.values()) for row in readings_of(window)} <= set(loaded(meters))
    assert sorted(loaded(meters)) == [tuple(row.values()) for row in readings_of(*WINDOWS)]
    assert meters.jobs.ran == ["readings"] * len(WINDOWS)  # what is complete is not computed again


def a_run(world: World, window: Window = WINDOWS[1]) -> Run:
    return world.run("run", pipeline=PIPELINE, window=window)


def test_the_job_is_told_the_two_instants_and_the_plan_tells_them(meters: World) -> None:
    run = a_run(meters)
    statement = render_statement(run, "readings", resolve_job(run, PIPELINE.job("readings")), "a1")
    assert "'window': ('2016-04-01T23:50:00+00:00', '2016-04-02T00:00:00+00:00')" in statement
    assert describe_plan(run)["lines"][0].endswith(
        "window 2016-04-01 23:50:00+00:00 to 2016-04-02 00:00:00+00:00"
    )


def test_two_windows_of_one_day_have_outputs_of_their_own(meters: World) -> None:
    job = PIPELINE.job("readings")
    of_instants = {resolve_job(a_run(meters, window), job).output.address for window in WINDOWS}
    assert len(of_instants) == len(WINDOWS)
    day = Window(MIDNIGHT.date(), MIDNIGHT.date() + timedelta(days=1))
    whole = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))
    by_day, by_instant = (resolve_job(replace(a_run(meters), window=one), job).output for one in (day, whole))
    assert by_day != by_instant
