"""Whether a run had work to do: only then may it keep clusters alive for the runs after it."""

from __future__ import annotations

from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.errors import MayflyError
from airflow_lib.steps import Run
from airflow_lib.steps.pinned_output import read_pinned


def had_work(run: Run) -> bool:
    """Whether a job of this run, one of the windowed ones if there are any, wrote rows.

    A job that did not come so far, or whose output cannot be read, did no work.
    """
    jobs = [job for job in run.pipeline.jobs if job.windowed] or run.pipeline.jobs
    try:
        return any(read_pinned(run, job).manifest.counts.written > 0 for job in jobs)
    except (MayflyError, *AWS_ERRORS):
        return False
