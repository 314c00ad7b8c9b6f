"""Verify and answer: every table's checks at once, then every question."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.pipeline import Pipeline, Table
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.verify import VerifyTable
from airflow_lib.warehouse.answers import list_answers_read
from operators.assets import answer_asset, table_asset
from operators.warehouse_step import WarehouseStepOperator


def verify(pipeline: Pipeline) -> TaskGroup:
    """One task per table that has checks."""
    with TaskGroup("verify", tooltip="What the checks found in each table") as group:
        for table in pipeline.tables:
            if pipeline.checks_of(table.name):
                WarehouseStepOperator(
                    task_id=table.name,
                    pipeline=pipeline,
                    step=VerifyTable(table.name),
                    custom_operator_name="Checks",
                    outlets=[table_asset(pipeline, table.name)] if isinstance(table, Table) else [],
                )
    return group


def answers(pipeline: Pipeline) -> TaskGroup:
    """One task per question, after those whose tables it reads."""
    with TaskGroup("answers", tooltip="The questions this schema was built for") as group:
        tasks: dict[str, WarehouseStepOperator] = {}
        for answer in pipeline.answers:
            task = WarehouseStepOperator(
                task_id=answer.name,
                pipeline=pipeline,
                step=PublishAnswer(answer.name),
                custom_operator_name="Answer",
                outlets=[answer_asset(pipeline, answer.name)],
            )
            for read in list_answers_read(pipeline, answer) if tasks else ():
                if read.lower() in tasks:
                    tasks[read.lower()] >> task
            if answer.table:
                tasks[answer.name.lower()] = task
    return group
