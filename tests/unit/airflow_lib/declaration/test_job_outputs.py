"""What jobs write has names of its own, reaches who takes it, and fits the windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.declaration.job_outputs import job_output_mistakes
from airflow_lib.pipeline import JobOutput, Pipeline, SparkJob, Staging, WindowUnit
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files


def job(name: str = "sightings", *reads: str, **more: Any) -> SparkJob:
    return SparkJob(name, ("sightings.csv", *map(JobOutput, reads)), **more)


def mistakes(files: Files, *jobs: SparkJob, takes: tuple[str, ...] = (), **more: Any) -> list[str]:
    """Of a pipeline with these jobs, which stages the output `sightings`, and those that it `takes`."""
    staged = tuple(Staging(f"staging_{output}", output=output) for output in takes)
    pipeline: Pipeline = replace(BIRDS, jobs=jobs, tables=(*BIRDS.tables, *staged), **more)
    return list(job_output_mistakes(pipeline, root=files.templates))


@pytest.mark.parametrize(
    "jobs",
    [
        (job(),),
        (job(outputs=("sightings", "birds")), job("report", "birds", outputs=("more",))),
        (job(partitioned_by="seen_on"),),
        (job(partitioned_by="SEEN_ON"),),
        # Whoever reads all days of a partitioned output serves every window; a windowed job takes its own of them.
        (job(partitioned_by="seen_on"), job("report", "sightings", outputs=("more",))),
        (job(partitioned_by="seen_on"), job("report", "sightings", outputs=("more",), windowed=True)),
        (job("raw", partitioned_by="day"), job("sightings", "raw", partitioned_by="seen_on"), job("more")),
        (job("raw", windowed=True), job("sightings", "raw", windowed=True), job("more")),
    ],
)
def test_what_can_work_is_no_mistake(files: Files, jobs: tuple[SparkJob, ...]) -> None:
    takes = ("more",) if any("more" in one.output_names for one in jobs) else ()
    assert mistakes(files, *jobs, takes=takes) == []


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        (
            (job(outputs=("sightings", "birds")),),
            (
                "job 'sightings': no table takes its output 'birds', and no job reads it: declare Staging(…, "
                "output='birds'), or leave it out"
            ),
        ),
        (
            (job(), job("report", outputs=("Sightings",))),
            "output 'sightings' is declared 2 times: give each output of a pipeline its own name",
        ),
        ((job(outputs=("sightings", "sightings")),), "output 'sightings' is declared 2 times"),
        (
            (job(), job("other", "sightings", outputs=("_x",))),
            "output '_x': Spark reads no folder whose name begins",
        ),
        ((job(), job("other", outputs=("a b",))), "output 'a b': use letters, digits and _"),
        ((job(), job("other", outputs=("",))), "output '': use letters, digits and _"),
        ((job("sightings", "sightings"),), "job 'sightings' reads its own output 'sightings'"),
        (
            (job("sightings", "sightngs"),),
            (
                "job 'sightings' reads output 'sightngs', which no job writes: declare it in the `outputs` of one, or "
                "correct the name; did you mean 'sightings'?"
            ),
        ),
        (
            (job("sightings", "b"), job("a", "sightings"), job("b", "a")),
            "jobs 'sightings', 'a', 'b' wait for each other in a circle",
        ),
        (
            (job(windowed=True), job("report", "sightings", outputs=("more",))),
            (
                "job 'report' reads what the windowed job 'sightings' writes for each window anew, so its own output "
                "is of one window as well, but would be taken for that of all: declare it windowed, too, or let"
            ),
        ),
        (
            (job("raw", windowed=True), job("sightings", "raw", partitioned_by="seen_on")),
            "would be taken for that of all: let 'raw' be partitioned, too, in place of windowed",
        ),
        (
            (job(windowed=True, partitioned_by="seen_on"),),
            "job 'sightings': partitioned_by 'seen_on': a partitioned job writes for all windows at once",
        ),
        (
            (job("raw", partitioned_by="a day"), job("sightings", "raw")),
            "job 'raw': partitioned_by 'a day': use letters",
        ),
        (
            (job(partitioned_by="seenon"),),
            (
                "job 'sightings': partitioned_by 'seenon' is no column of birds/create/staging_sightings.sql, which "
                "takes its output: correct the one or the other; did you mean 'seen_on'?"
            ),
        ),
    ],
)
def test_what_cannot_work_is_told_with_what_to_do(
    files: Files, jobs: tuple[SparkJob, ...], told: str
) -> None:
    takes = ("more",) if any("more" in one.output_names for one in jobs) else ()
    found = mistakes(files, *jobs, takes=takes)
    assert [one for one in found if one.startswith(told) or told in one], found


def test_partitions_are_days_so_windows_of_instants_have_none(files: Files) -> None:
    (mistake,) = mistakes(files, job(partitioned_by="seen_on"), window_unit=WindowUnit.INSTANT)
    assert "partitioned_by 'seen_on': a partition is a day, but the windows are instants" in mistake


def test_all_mistakes_are_told_at_once(files: Files) -> None:
    jobs = (job("sightings", "nothing", windowed=True, partitioned_by="seen_on"), job("b", outputs=("c",)))
    assert len(mistakes(files, *jobs)) == 3


def test_a_circle_is_told_once_and_of_the_jobs_in_it_alone(files: Files) -> None:
    jobs = (job("sightings", "b"), job("b", "sightings"), job("after", "b"), job("before"))
    found = [one for one in mistakes(files, *jobs, takes=("after", "before")) if "circle" in one]
    assert len(found) == 1
    assert "jobs 'sightings', 'b' wait" in found[0]
