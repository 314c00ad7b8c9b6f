"""Whether a run had work to do: only then may it keep clusters alive for the runs after it."""

from __future__ import annotations

from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.errors import MayflyError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.copy_manifest import render_copy_manifest
from airflow_lib.steps import Run
from airflow_lib.steps.pinned_output import read_pinned


def had_work(run: Run) -> bool:
    """Whether a job of this run, one of those whose rows are loaded by window if there are any, wrote rows to load.

    A job that did not come so far, or whose output cannot be read, did no work.
    """
    jobs = [job for job in run.pipeline.jobs if job.loads_window] or run.pipeline.jobs
    try:
        return any(_count_rows(run, job) > 0 for job in jobs)
    except (MayflyError, *AWS_ERRORS):
        return False


def _count_rows(run: Run, job: SparkJob) -> int:
    """How many rows of the run's window the job wrote, of all its outputs."""
    pinned = read_pinned(run, job)
    copies = [
        render_copy_manifest(pinned.output, pinned.manifest, name, run.window) for name in job.output_names
    ]
    return sum(copy.rows for copy in copies)
