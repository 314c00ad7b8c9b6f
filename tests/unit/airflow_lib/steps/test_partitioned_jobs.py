"""A partitioned job: its source is read once, whatever the window, and a run loads its window's days."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from airflow_lib.errors import OutputRefused
from airflow_lib.pipeline import Window
from airflow_lib.steps import Done, Failed, Run
from airflow_lib.steps.load import LoadWindow
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.work import had_work
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.account import BUCKET
from tests.world.job_shapes import PARTITIONED, partition_arrivals
from tests.world.pipeline import APRIL, rows_of, tables_of
from tests.world.spark import ALL_DAYS, get, put, write_days, write_rows
from tests.world.walk import drive, walk

WEEKS = [Window(APRIL.start + timedelta(days=n), APRIL.start + timedelta(days=n + 7)) for n in (0, 7, 14)]
OVERLAPPING = Window(APRIL.start + timedelta(days=6), APRIL.start + timedelta(days=8))
LATER = Window(date(2017, 1, 1), date(2017, 1, 8))


@pytest.fixture
def arrivals(world: World) -> World:
    world.put_sources(PARTITIONED)
    partition_arrivals(world)
    return world


def run_of(world: World, window: Window, run_id: str = "run1") -> Run:
    return world.run(run_id, pipeline=PARTITIONED, window=window)


def test_windows_one_by_one_end_in_the_same_tables_as_all_at_once_and_the_source_is_read_once(
    arrivals: World,
) -> None:
    for number, window in enumerate(reversed(WEEKS)):
        walked = walk(arrivals, run_of(arrivals, window, f"run{number}"))
        assert walked.errors == {}
        assert walked.results["load.staging_arrivals"] == {"rows": 7}
    assert arrivals.tables(PARTITIONED) == tables_of(*WEEKS)
    assert sorted(arrivals.jobs.ran) == ["airports", "arrivals"]
    whole = Window(WEEKS[0].start, WEEKS[-1].end)
    assert walk(arrivals, run_of(arrivals, whole, "whole")).errors == {}
    assert arrivals.tables(PARTITIONED) == tables_of(whole)
    assert len(arrivals.jobs.ran) == 2


def test_the_result_tells_of_the_whole_source_and_the_job_is_told_no_window(arrivals: World) -> None:
    made = drive(RunJob("arrivals"), use_emr(arrivals, run_of(arrivals, WEEKS[0])), arrivals).result
    assert made["written"] == len(rows_of("arrivals", ALL_DAYS)) > 30
    assert "'window': None" in arrivals.livy.find("arrivals").code[0]


def test_each_window_has_a_copy_manifest_of_its_own_days_beside_the_jobs(arrivals: World) -> None:
    for number, window in enumerate(WEEKS[:2]):
        assert walk(arrivals, run_of(arrivals, window, f"run{number}")).errors == {}
    keys = [key for key in arrivals.objects("processed/") if "/copy/arrivals-" in key]
    assert len(keys) == 2
    assert len({key.split("/")[3] for key in keys}) == 1
    listed = [json.loads(get(f"s3://{BUCKET}/{key}") or b"") for key in keys]
    days = sorted(entry["url"].split("day=")[1][:10] for one in listed for entry in one["entries"])
    assert days == [str(APRIL.start + timedelta(days=n)) for n in range(14)]


def test_a_window_of_which_the_source_has_no_day_loads_nothing_and_had_no_work(arrivals: World) -> None:
    run = replace(run_of(arrivals, LATER), pipeline=replace(PARTITIONED, answers=()))
    walked = walk(arrivals, run)
    assert walked.errors == {}
    assert walked.results["load.staging_arrivals"] == {"rows": 0}
    assert arrivals.tables(PARTITIONED)["arrivals"] == []
    assert not had_work(run)
    assert had_work(replace(run, window=Window(ALL_DAYS.end - timedelta(days=1), LATER.start)))


def correct(world: World) -> None:
    """The source is replaced: everybody came to New York."""
    world.advance(60)
    put(f"s3://{BUCKET}/source/immigration/arrivals.csv", b"corrected")
    rows = [{**row, "airport": "JFK"} for row in rows_of("arrivals", ALL_DAYS)]
    world.jobs.by_name["arrivals"] = lambda **given: write_days(rows=rows, **given)


@pytest.mark.parametrize(("newer", "refused"), [(OVERLAPPING, True), (WEEKS[0], True), (WEEKS[1], False)])
def test_an_older_output_is_not_loaded_over_the_days_of_a_newer_one(
    arrivals: World, newer: Window, refused: bool
) -> None:
    """The output is the same for all windows, so the load of any that overlaps tells which is of the older source."""
    first = run_of(arrivals, WEEKS[0])
    assert walk(arrivals, first).errors == {}
    correct(arrivals)
    assert walk(arrivals, run_of(arrivals, newer, "run2")).errors == {}
    before = arrivals.tables(PARTITIONED)
    drive(TakeLease(), first, arrivals)
    assert walk(arrivals, first, only="provision").errors == {}

    outcome = drive(LoadWindow(), first, arrivals)

    assert isinstance(outcome, Failed if refused else Done)
    assert not refused or "run run2 has loaded another one" in outcome.message  # type: ignore[union-attr]
    assert arrivals.tables(PARTITIONED) == before


def test_a_job_that_is_declared_partitioned_and_writes_no_days_is_refused(arrivals: World) -> None:
    arrivals.jobs.by_name["arrivals"] = write_rows
    with pytest.raises(OutputRefused, match=r"is partitioned by 'day', but wrote .*lies in no day's folder"):
        drive(RunJob("arrivals"), use_emr(arrivals, run_of(arrivals, APRIL)), arrivals)
    assert arrivals.livy.listed() == []


def test_a_copy_task_of_another_window_of_the_same_run_copies_anew(arrivals: World) -> None:
    """The hash that marks the staging table is of the window's files, not of the job's output."""
    run = run_of(arrivals, WEEKS[0])
    assert walk(arrivals, run).errors == {}
    drive(TakeLease(), run, arrivals)
    other = run_of(arrivals, WEEKS[1])
    assert walk(arrivals, other, only="provision").errors == {}
    for job in PARTITIONED.jobs:
        drive(RunJob(job.name), other, arrivals)
    assert drive(CopyStaging("staging_arrivals"), run, arrivals) == Done({"rows": 7})
    assert isinstance(drive(LoadWindow(), other, arrivals), Done)
    assert arrivals.tables(PARTITIONED) == tables_of(*WEEKS[:2])
