"""A pipeline that runs every ten minutes: each run loads its own ten minutes, once."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_lib.pipeline import Window
from airflow_lib.steps import Run
from airflow_lib.steps.plan import describe_plan
from airflow_lib.steps.transform import render_statement, resolve_job
from tests.world import World
from tests.world.readings import MIDNIGHT, PIPELINE, WINDOWS, readings_of, write_readings
from tests.world.walk import walk


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
    run = world.run("run", pipeline=PIPELINE, window=window)
    world.fix_batch(run)
    return run


def test_the_job_is_told_the_two_instants_and_the_plan_tells_them(meters: World) -> None:
    run = a_run(meters)
    statement = render_statement(run, "readings", resolve_job(run, PIPELINE.job("readings")), "a1")
    assert "'window': ('2016-04-01T23:50:00+00:00', '2016-04-02T00:00:00+00:00')" in statement
    assert (
        describe_plan(run)["lines"][0]
        .partition(",")[0]
        .endswith("window 2016-04-01 23:50:00+00:00 to 2016-04-02 00:00:00+00:00")
    )


def test_two_windows_of_one_day_have_outputs_of_their_own(meters: World) -> None:
    job = PIPELINE.job("readings")
    of_instants = {resolve_job(a_run(meters, window), job).output.address for window in WINDOWS}
    assert len(of_instants) == len(WINDOWS)
    day = Window(MIDNIGHT.date(), MIDNIGHT.date() + timedelta(days=1))
    whole = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))
    by_day, by_instant = (resolve_job(replace(a_run(meters), window=one), job).output for one in (day, whole))
    assert by_day != by_instant
