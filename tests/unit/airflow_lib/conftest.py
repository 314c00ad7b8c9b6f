"""A world with a small pipeline's sources in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from airflow_lib.steps import Run
from tests.world import World
from tests.world.pipeline import PIPELINE


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_sources(PIPELINE)
        yield world


@pytest.fixture
def make_run(world: World) -> Callable[..., Run]:
    def make(run_id: str = "run1", **mayfly: object) -> Run:
        """A run whose batch is what is there now; its own preflight, if it has one, takes another."""
        run = world.run(run_id, pipeline=PIPELINE, **mayfly)
        world.fix_batch(run)
        return run

    return make


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run()
