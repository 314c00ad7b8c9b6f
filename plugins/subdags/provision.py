"""Provision: prerequisites are checked, the slots are leased, the clusters are created."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.provision import EnsureEmr, EnsureWarehouse, TakeLease
from operators.preflight import PreflightOperator
from operators.step import StepOperator


def provision(pipeline: Pipeline) -> TaskGroup:
    """preflight → lease → emr, warehouse."""
    with TaskGroup("provision", tooltip="Leases, roles, security groups, EMR and Redshift") as group:
        preflight = PreflightOperator(
            task_id="preflight", pipeline=pipeline, step=Preflight(), custom_operator_name="Preflight"
        )
        lease = StepOperator(
            task_id="lease", pipeline=pipeline, step=TakeLease(), custom_operator_name="Lease"
        )
        emr = StepOperator(
            task_id="emr", pipeline=pipeline, step=EnsureEmr(), custom_operator_name="EMR cluster"
        )
        warehouse = StepOperator(
            task_id="warehouse",
            pipeline=pipeline,
            step=EnsureWarehouse(),
            custom_operator_name="Redshift cluster",
        )
        preflight >> lease >> [emr, warehouse]
    return group
