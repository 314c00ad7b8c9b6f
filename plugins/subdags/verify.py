"""Verify and answer: every table's checks at once, then every question."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.answer import Answer
from airflow_lib.steps.verify import VerifyTable
from operators.step import StepOperator


def verify(pipeline: Pipeline) -> TaskGroup:
    """One task per table that has checks."""
    with TaskGroup("verify", tooltip="What the checks found in each table") as group:
        for table in pipeline.tables:
            if pipeline.checks_of(table.name):
                StepOperator(
                    task_id=table.name,
                    pipeline=pipeline,
                    step=VerifyTable(table.name),
                    custom_operator_name="Checks",
                )
    return group


def answers(pipeline: Pipeline) -> TaskGroup:
    """One task per question."""
    with TaskGroup("answers", tooltip="The questions this schema was built for") as group:
        for name in pipeline.answers:
            StepOperator(task_id=name, pipeline=pipeline, step=Answer(name), custom_operator_name="Answer")
    return group
