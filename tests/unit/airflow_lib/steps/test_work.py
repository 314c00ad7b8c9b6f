"""Whether a run had work: by what its jobs wrote, the windowed ones first."""

from __future__ import annotations

import pytest

from airflow_lib.steps import Run
from airflow_lib.steps.work import had_work
from tests.world import World
from tests.world.spark import write_rows
from tests.world.walk import walk
from tests.world.wire import Kind


def test_a_run_whose_windowed_job_wrote_rows_had_work(world: World, run: Run) -> None:
    walk(world, run)
    assert had_work(run)


def test_a_run_whose_window_was_empty_had_none_although_the_other_jobs_wrote(world: World, run: Run) -> None:
    def nothing(**given: object) -> dict[str, object]:
        return write_rows(rows=[], **given)  # type: ignore[arg-type]

    world.jobs.by_name["arrivals"] = nothing
    walk(world, run)
    assert not had_work(run)


def test_a_run_that_did_not_get_so_far_had_none(run: Run) -> None:
    assert not had_work(run)


@pytest.mark.parametrize("kind", [Kind.DENIED, Kind.THROTTLED])
def test_where_it_cannot_be_read_the_answer_is_no(world: World, run: Run, kind: Kind) -> None:
    walk(world, run)
    world.wire.inject("s3.GetObject", kind, times=99)
    assert not had_work(run)
