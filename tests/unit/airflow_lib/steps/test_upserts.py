"""A pipeline without windows that upserts: the newest row of each key, whatever the order and however often."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from airflow_lib.naming import Slot
from airflow_lib.pipeline import SparkJob, Staging
from airflow_lib.steps import Done, Run
from airflow_lib.steps.load import LoadWindow
from tests.world import World
from tests.world.account import BUCKET
from tests.world.spark import put
from tests.world.upserts import PIPELINE, VERSIONS, tables_of, write_reviews
from tests.world.walk import drive, walk
from tests.world.wire import Kind


@pytest.fixture
def shop(world: World) -> World:
    world.wire.lag.lag_s = 0  # not about IAM
    world.put_sources(PIPELINE)
    world.jobs.by_name["reviews"] = write_reviews
    return world


def publish(world: World, version: int) -> None:
    """The source is of that version from now on."""
    world.advance(60)
    put(f"s3://{BUCKET}/source/immigration/reviews.csv", str(version).encode())


def load(world: World, version: int, name: str, *, cleared: bool = False) -> Run:
    """`cleared`: a person has cleared the run from the preflight on, so it takes what is there now."""
    publish(world, version)
    run = world.run(name, pipeline=PIPELINE)
    if cleared:
        world.fix_batch(run, max_tries=99)
    assert walk(world, run).errors == {}
    return run


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_key_has_its_newest_row_whatever_the_order_of_the_loads(shop: World, seed: int) -> None:
    versions = [*VERSIONS, VERSIONS[1]]
    random.Random(seed).shuffle(versions)
    for number, version in enumerate(versions, start=1):
        load(shop, version, f"run{number}")
        assert shop.tables(PIPELINE) == tables_of(*versions[:number])


def test_a_batch_that_differs_by_the_file_of_another_job_alone_is_not_appended_again(shop: World) -> None:
    pipeline = replace(
        PIPELINE,
        jobs=(*PIPELINE.jobs, SparkJob("airports", sources=("airports.csv",))),
        tables=(*PIPELINE.tables, Staging("staging_airports", output="airports")),
    )
    shop.put_sources(pipeline)
    publish(shop, 1)
    logged = []
    for number in (1, 2):
        put(f"s3://{BUCKET}/source/immigration/airports.csv", f"version {number}".encode())
        walked = walk(shop, shop.run(f"run{number}", pipeline=pipeline))
        assert walked.errors == {}
        logged.append(shop.tables(pipeline)["review_log"])
    assert walked.results["load.load_window"]["held"] == ["review_log"]
    assert logged == [tables_of(1)["review_log"]] * 2


def test_a_batch_is_appended_once_however_often_and_by_whichever_run_it_is_loaded(shop: World) -> None:
    first = load(shop, 1, "run1")
    second = load(shop, 2, "run2")
    shop.forget_held()
    again = walk(shop, shop.run("run3", pipeline=PIPELINE))

    assert again.results["load.load_window"]["held"] == ["review_log"]
    assert shop.tables(PIPELINE)["review_log"] == tables_of(1, 2)["review_log"]
    assert "held" not in load_result(shop, 3, "run4")
    assert (first, second) != (None, None)


def load_result(world: World, version: int, name: str) -> dict[str, object]:
    publish(world, version)
    return walk(world, world.run(name, pipeline=PIPELINE)).results["load.load_window"]


def test_a_run_that_loads_another_batch_than_before_remembers_the_one_before(shop: World) -> None:
    load(shop, 1, "run1")
    load(shop, 2, "run1", cleared=True)
    load(shop, 1, "run2")
    assert shop.tables(PIPELINE) == tables_of(1, 2)


@pytest.mark.parametrize("operation", ["Connect", "Copy", "Commit"])
@pytest.mark.parametrize("kind", [Kind.LOST, Kind.KILLED_BEFORE, Kind.KILLED_AFTER, Kind.THROTTLED])
def test_a_run_whose_requests_fail_once_appends_once(shop: World, operation: str, kind: Kind) -> None:
    load(shop, 1, "run1")
    shop.wire.inject(f"warehouse.{operation}", kind)
    publish(shop, 2)
    assert not walk(shop, shop.run("run2", pipeline=PIPELINE)).red
    assert shop.tables(PIPELINE) == tables_of(1, 2)


def test_a_load_that_is_repeated_in_the_same_run_leaves_the_rows_untouched(shop: World) -> None:
    run = shop.run("run1", pipeline=PIPELINE)
    publish(shop, 1)
    for group in ("provision", "transform", "load"):
        assert walk(shop, run, only=group).errors == {}
    before = shop.tables(PIPELINE)
    outcome = drive(LoadWindow(), run, shop)
    assert isinstance(outcome, Done)
    assert outcome.result["held"] == ["review_log"]
    assert shop.tables(PIPELINE) == before == tables_of(1)
    assert run.register.read().slot(Slot.WAREHOUSE).unsaved
