"""Whether the declared hardware can be created, and holds the pipeline's Spark sessions."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_lib.errors import SizingError
from airflow_lib.pipeline import Pipeline
from airflow_lib.settings import mistakes_in_hardware
from airflow_lib.spark.job_graph import most_jobs_at_once
from airflow_lib.spark.sizing import size_sessions


def hardware_mistakes(pipeline: Pipeline) -> Iterator[str]:
    """What the Variable `mayfly` would refuse, too; and where that is nothing, what does not fit."""
    mistakes = mistakes_in_hardware(pipeline.hardware)
    yield from mistakes
    if mistakes or not pipeline.jobs or pipeline.max_parallel_runs < 1:
        return
    try:
        size_sessions(pipeline.hardware, most_jobs_at_once(pipeline), pipeline.max_parallel_runs)
    except SizingError as error:
        yield f"hardware: {error}"
