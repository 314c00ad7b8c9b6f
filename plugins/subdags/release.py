"""Release: the lease on the warehouse is given up, and what is left in the account is listed."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.naming import Slot
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.release import ReleaseSlot, TakeInventory
from operators.release import ClosingOperator, ReleaseOperator


def release(pipeline: Pipeline) -> TaskGroup:
    """release_warehouse → inventory."""
    with TaskGroup(
        "release", tooltip="The last run of a backfill tears down; then an inventory by tag"
    ) as group:
        warehouse = ReleaseOperator(
            task_id="release_warehouse",
            pipeline=pipeline,
            step=ReleaseSlot(Slot.WAREHOUSE),
            custom_operator_name="Release Redshift",
            retries=3,
            max_active_tis_per_dag=1,  # of two runs that end at once, the second sees that no further run is to come
        )
        inventory = ClosingOperator(
            task_id="inventory",
            pipeline=pipeline,
            step=TakeInventory(),
            custom_operator_name="Inventory",
            retries=2,
        )
        warehouse >> inventory
    return group
