"""Load: each job's Parquet by COPY into the run's own staging schema, then one transaction into the tables."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.staging import CopyStaging
from operators.assets import table_asset
from operators.warehouse_step import WarehouseStepOperator


def load(pipeline: Pipeline) -> TaskGroup:
    """create_tables → <staging table>, … → load_window."""
    with TaskGroup("load", tooltip="COPY into staging, then one transaction") as group:
        create = WarehouseStepOperator(
            task_id="create_tables",
            pipeline=pipeline,
            step=CreateTables(),
            custom_operator_name="Create tables",
        )
        window = WarehouseStepOperator(
            task_id="load_window",
            pipeline=pipeline,
            step=LoadWindow(),
            custom_operator_name="Load transaction",
            # A table without checks has no task below `verify` that could tell of it.
            outlets=[
                table_asset(pipeline, table.name)
                for table in pipeline.warehouse_tables
                if not pipeline.checks_of(table.name)
            ],
        )
        for table in pipeline.staging:
            copy = WarehouseStepOperator(
                task_id=table.name,
                pipeline=pipeline,
                step=CopyStaging(table.name),
                custom_operator_name="COPY",
            )
            create >> copy >> window
    return group
