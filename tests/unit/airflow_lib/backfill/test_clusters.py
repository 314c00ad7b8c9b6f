"""What clusters a plan's runs would make."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_lib.backfill.clusters import describe_clusters
from airflow_lib.lifecycle.document import Document, Phase
from airflow_lib.steps import Run
from airflow_lib.steps.batch import look_at_sources
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.pipeline import APRIL, PIPELINE
from tests.world.walk import drive

Describe = Callable[..., list[str]]


@pytest.fixture
def describe(run: Run) -> Describe:
    def of(document: Document | None = None, windows: int = 1) -> list[str]:
        return describe_clusters(
            run, look_at_sources(run), document or run.register.read(), [APRIL] * windows
        )

    return of


def test_the_first_run_makes_both(describe: Describe) -> None:
    assert describe() == [
        "EMR: a cluster of 1 m5.xlarge + 1 m5.xlarge, to compute arrivals, airports",
        "Redshift: a cluster of 1 x ra3.large, which begins empty",
    ]


def test_several_runs_may_share_them(describe: Describe) -> None:
    assert (
        describe(windows=2)[2] == "these are for all 2 runs, where these overlap or `keep_alive_s` keeps them"
    )


def test_a_cluster_that_is_there_is_used_and_one_job_may_be_computed(
    world: World, run: Run, describe: Describe
) -> None:
    drive(RunJob("airports"), use_emr(world, run), world)
    assert describe()[0] == "EMR: the cluster that is ready, to compute arrivals"


def test_where_all_is_computed_no_emr_is_made(world: World, run: Run, describe: Describe) -> None:
    use_emr(world, run)
    for job in PIPELINE.jobs:
        drive(RunJob(job.name), run, world)
    assert describe()[0] == "EMR: none, since every output is computed already"


def test_a_warehouse_is_restored_from_its_snapshot(run: Run, describe: Describe) -> None:
    document = run.register.read()
    warehouse = document.warehouse.__class__(document.warehouse.slot, generation=3, snapshot="snap-g3")
    assert describe(document.with_slot(warehouse))[1] == (
        "Redshift: a cluster of 1 x ra3.large, restored from snapshot snap-g3"
    )
    kept = document.warehouse.__class__(document.warehouse.slot, Phase.READY, generation=3)
    assert describe(document.with_slot(kept))[1] == "Redshift: the cluster that is ready"
