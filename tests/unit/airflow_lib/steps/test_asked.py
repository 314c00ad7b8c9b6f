"""A run that loaded and could not publish leaves its answers to the next one, which is not idle."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from airflow_lib.steps.asked import is_asked_since, note_asked
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, published_of
from tests.world.spark import put
from tests.world.walk import walk
from tests.world.wire import Kind

ANSWER = PIPELINE.answers[0]


def test_what_was_loaded_and_not_published_is_published_by_the_next_run(world: World) -> None:
    world.put_sources(PIPELINE)
    world.wire.inject("warehouse.Unload", Kind.DENIED, math.inf)
    assert walk(world, world.run("run1", pipeline=PIPELINE)).red
    world.heal()
    again = walk(world, world.run("run2", pipeline=PIPELINE))
    assert (again.red, again.idle) == (False, "")
    assert world.published(PIPELINE) == published_of(APRIL)
    assert walk(world, world.run("run3", pipeline=PIPELINE)).idle


def test_an_answer_counts_from_the_moment_it_was_asked(world: World) -> None:
    run, now = world.run("run1", pipeline=PIPELINE), world.now()
    assert not is_asked_since(run, ANSWER, now)
    note_asked(run, ANSWER, now)
    assert is_asked_since(run, ANSWER, now)
    assert not is_asked_since(run, ANSWER, now + timedelta(seconds=1))


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"asked_at": 1}', '{"asked_at": "soon"}', '{"asked_at": "2030-01-01"}', ""]
)
def test_what_cannot_be_read_does_not_count(world: World, content: str) -> None:
    put(f"s3://{BUCKET}/state/immigration/answers/{ANSWER.name}.json", content.encode())
    assert not is_asked_since(world.run("run1", pipeline=PIPELINE), ANSWER, world.now())
