"""A world with a small pipeline's sources in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from airflow_lib.pipeline import Dimension, Fact, Pipeline, SparkJob, Staging
from airflow_lib.steps import Run
from tests.world import World

# It bears the name of one that has Spark code: outputs are addressed by it.
PIPELINE = Pipeline(
    name="immigration",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(
        SparkJob("arrivals", sources=("arrivals.csv", "labels.sas"), windowed=True),
        SparkJob("airports", sources=("airports.csv",)),
    ),
    tables=(
        Staging("staging_arrivals", job="arrivals"),
        Staging("staging_airports", job="airports"),
        Dimension("airports", key="code"),
        Fact("arrivals", key="id", window_column="day"),
    ),
)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_sources(PIPELINE)
        yield world


@pytest.fixture
def make_run(world: World) -> Callable[..., Run]:
    def make(run_id: str = "run1", **mayfly: object) -> Run:
        return world.run(run_id, pipeline=PIPELINE, **mayfly)

    return make


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run()
