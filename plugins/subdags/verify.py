"""Verify and answer: every check at once, then every question."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.load import Answer, RunCheck
from operators.step import StepOperator


def verify(pipeline: Pipeline) -> TaskGroup:
    """One task per check."""
    with TaskGroup("verify", tooltip="Each check is a SELECT of failing rows") as group:
        for check in pipeline.checks:
            StepOperator(
                task_id=check.name, pipeline=pipeline, step=RunCheck(check), custom_operator_name="Check"
            )
    return group


def answers(pipeline: Pipeline) -> TaskGroup:
    """One task per question."""
    with TaskGroup("answers", tooltip="The questions this schema was built for") as group:
        for name in pipeline.answers:
            StepOperator(task_id=name, pipeline=pipeline, step=Answer(name), custom_operator_name="Answer")
    return group
