"""Every declared job has its code, and what the declaration says of its sources is what that code reads."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

from airflow_lib.pipeline import Pipeline, Source

ARGUMENTS = ["spark", "inputs", "targets", "rejected", "window"]


def code_of(pipeline: Pipeline, job: str) -> list[ModuleType]:
    """The job's module, and those of the pipeline's folder that it imports."""
    folder = f"sparkjobs.{pipeline.name}"
    module = importlib.import_module(f"{folder}.{job}")
    imported = [value for value in vars(module).values() if isinstance(value, ModuleType)]
    return [module, *(other for other in imported if other.__name__.startswith(f"{folder}."))]


def test_a_job_is_a_function_run_of_what_a_session_calls_it_with(pipeline: Pipeline) -> None:
    for job in pipeline.jobs:
        module, *_ = code_of(pipeline, job.name)
        assert list(inspect.signature(module.run).parameters) == ARGUMENTS, module.__name__


def test_the_declared_columns_are_a_constant_of_the_job_that_reads_them(pipeline: Pipeline) -> None:
    for job in pipeline.jobs:
        values = [value for module in code_of(pipeline, job.name) for value in vars(module).values()]
        constants = [value for value in values if isinstance(value, tuple)]
        for source in job.sources:
            if isinstance(source, Source) and source.columns:
                assert source.columns in constants, f"{job.name}: {source.names}"
