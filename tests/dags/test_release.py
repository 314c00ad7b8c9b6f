"""Release: the warehouse's lease is given up, and then the inventory is taken."""

from __future__ import annotations

from subdags.release import release
from tests.dags.graph import upstream


def test_the_inventory_is_taken_after_the_warehouse_is_released(build):
    assert upstream(build(release), "release.inventory") == {"release.release_warehouse"}


def test_of_several_runs_one_at_a_time_releases_the_warehouse(build):
    assert build(release).get_task("release.release_warehouse").max_active_tis_per_dag == 1


def test_a_release_and_an_inventory_are_retried(build):
    assert all(task.retries > 0 for task in build(release).tasks)
