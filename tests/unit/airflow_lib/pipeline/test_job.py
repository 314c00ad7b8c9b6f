"""Jobs, their sources, and what they write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_lib.pipeline import JobOutput, Pipeline, Source, SparkJob

CLEAN = SparkJob("clean", sources=("arrivals.csv",), outputs=("arrivals", "seen"))
REPORT = SparkJob("report", sources=(JobOutput("seen"), Source("a/", "a.csv"), JobOutput("clean2"), "b.csv"))
PIPELINE = Pipeline("birds", start=datetime(2020, 1, 1, tzinfo=UTC), jobs=(CLEAN, REPORT), tables=())


def test_a_source_in_more_than_one_form_keeps_their_order() -> None:
    assert Source("sas_data/", "arrivals.csv").names == ("sas_data/", "arrivals.csv")


def test_a_job_writes_one_dataset_of_its_own_name_unless_it_names_others() -> None:
    assert (REPORT.output_names, CLEAN.output_names) == (("report",), ("arrivals", "seen"))


def test_files_and_the_outputs_of_other_jobs_are_told_apart_in_their_order() -> None:
    assert REPORT.files == (Source("a/", "a.csv"), "b.csv")
    assert REPORT.reads == ("seen", "clean2")


def test_the_jobs_upstream_are_those_whose_outputs_are_read_each_once() -> None:
    both = replace(REPORT, sources=(JobOutput("seen"), JobOutput("arrivals")))
    assert replace(PIPELINE, jobs=(CLEAN, both)).upstream(both) == (CLEAN,)
    assert PIPELINE.upstream(REPORT) == (CLEAN,)  # no job writes clean2: the declaration's checks tell
    assert PIPELINE.upstream(CLEAN) == ()


@pytest.mark.parametrize(
    ("job", "by_window"),
    [(CLEAN, False), (replace(CLEAN, windowed=True), True), (replace(CLEAN, partitioned_by="day"), True)],
)
def test_a_run_loads_only_its_windows_rows_of_a_windowed_or_partitioned_job(
    job: SparkJob, by_window: bool
) -> None:
    assert job.loads_window is by_window
