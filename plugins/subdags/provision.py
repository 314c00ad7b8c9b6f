"""Provision: what may be wanting is found out, the slots are leased, the clusters are created."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.provision import (
    EnsureEmr,
    EnsureNetwork,
    EnsureRoles,
    EnsureWarehouse,
    Preflight,
    TakeLease,
)
from operators.step import StepOperator


def provision(pipeline: Pipeline) -> TaskGroup:
    """preflight → lease → roles, network → emr, warehouse."""
    with TaskGroup("provision", tooltip="Leases, roles, security groups, EMR and Redshift") as group:
        preflight = StepOperator(task_id="preflight", pipeline=pipeline, step=Preflight())
        lease = StepOperator(task_id="lease", pipeline=pipeline, step=TakeLease())
        roles = StepOperator(task_id="roles", pipeline=pipeline, step=EnsureRoles())
        network = StepOperator(task_id="network", pipeline=pipeline, step=EnsureNetwork())
        emr = StepOperator(task_id="emr", pipeline=pipeline, step=EnsureEmr())
        warehouse = StepOperator(task_id="warehouse", pipeline=pipeline, step=EnsureWarehouse())
        preflight >> lease >> [roles, network]
        for base in (roles, network):
            base >> [emr, warehouse]
    return group
