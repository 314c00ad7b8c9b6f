"""Which clusters the runs of a plan would make, and for what. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airflow_lib.lifecycle.document import Document, Phase
from airflow_lib.pipeline import Window
from airflow_lib.spark.batch import Batch
from airflow_lib.steps import Run
from airflow_lib.steps.transform import probe_job


def describe_clusters(run: Run, batch: Batch, document: Document, windows: Sequence[Window]) -> list[str]:
    """A line for EMR and one for Redshift. Raises ResourceError, OutputError where an output lost its files."""
    hardware = run.settings.hardware(run.pipeline)
    jobs = [
        job.name
        for job in run.pipeline.jobs
        if any(probe_job(replace(run, window=window), job, batch) is None for window in windows)
    ]
    emr = f"1 {hardware.master_type} + {hardware.core_count} {hardware.core_type}"
    if not jobs:
        first = "EMR: none, since every output is computed already"
    elif document.emr.phase is Phase.EMPTY:
        first = f"EMR: a cluster of {emr}, to compute {', '.join(jobs)}"
    else:
        first = f"EMR: the cluster that is {_phase(document.emr.phase)}, to compute {', '.join(jobs)}"
    state = document.warehouse
    if state.phase is Phase.EMPTY:
        origin = f"restored from snapshot {state.snapshot}" if state.snapshot else "which begins empty"
        second = (
            f"Redshift: a cluster of {hardware.warehouse_nodes} x {hardware.warehouse_node_type}, {origin}"
        )
    else:
        second = f"Redshift: the cluster that is {_phase(state.phase)}"
    shared = [f"these are for all {len(windows)} runs, where these overlap or `keep_alive_s` keeps them"]
    return [first, second, *(shared if len(windows) > 1 else [])]


def _phase(phase: Phase) -> str:
    return phase.replace("_", " ")
