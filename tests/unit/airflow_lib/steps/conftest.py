"""A run that has loaded its rows."""

from __future__ import annotations

import pytest

from airflow_lib.steps import Done, Run
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.transform import RunJob
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk


@pytest.fixture
def loaded(world: World, run: Run) -> Run:
    """A run whose rows are in its warehouse."""
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables(), LoadWindow()):
        assert isinstance(drive(step, run, world), Done)
    return run


@pytest.fixture
def ready(world: World, run: Run) -> Run:
    """A run that may copy; its warehouse was restored long ago."""
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables()):
        assert isinstance(drive(step, run, world), Done)
    world.advance(600)
    return run
