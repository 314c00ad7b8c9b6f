"""Release: the warehouse is let go, and what is left is counted."""

from __future__ import annotations

from airflow.sdk import TaskGroup
from airflow_lib.steps.release import Inventory, ReleaseSlot

from airflow_lib.naming import Slot
from airflow_lib.pipeline import Pipeline
from operators.step import StepOperator


def release(pipeline: Pipeline) -> TaskGroup:
    """release_warehouse → inventory."""
    with TaskGroup(
        "release", tooltip="The last run of a backfill tears down; then an inventory by tag"
    ) as group:
        warehouse = StepOperator(
            task_id="release_warehouse", pipeline=pipeline, step=ReleaseSlot(Slot.WAREHOUSE), retries=3
        )
        inventory = StepOperator(task_id="inventory", pipeline=pipeline, step=Inventory(), retries=2)
        warehouse >> inventory
    return group
