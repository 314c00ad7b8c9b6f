"""Whole runs, from lease to inventory."""

from __future__ import annotations

from airflow_lib.steps import Run
from tests.world import World
from tests.world.walk import walk


def test_a_clean_run_is_green_and_leaves_nothing_but_its_snapshot(world: World, run: Run) -> None:
    walked = walk(world, run)
    assert walked.errors == {}
    assert not walked.red
    assert world.emr.live == []
    assert world.warehouses.live == []
    assert list(world.warehouses.snapshots.values()) == ["available"]
