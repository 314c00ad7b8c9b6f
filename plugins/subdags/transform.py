"""Transform: one Livy session per Spark job, each once its input is there; then the lease on EMR is given up."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from airflow_lib.naming import Slot
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.transform import RunJob
from operators.release import ReleaseOperator
from operators.step import StepOperator


def transform(pipeline: Pipeline) -> TaskGroup:
    """<job>, <job>, … → release_emr; a job that reads another's output comes after that one."""
    with TaskGroup("transform", tooltip="Concurrent Spark sessions on the cluster's Livy server") as group:
        release_emr = ReleaseOperator(
            task_id="release_emr",
            pipeline=pipeline,
            step=ReleaseSlot(Slot.EMR),
            custom_operator_name="Release EMR",
            retries=3,
            max_active_tis_per_dag=1,  # of two runs that end at once, the second sees that no further run is to come
        )
        sessions = {}
        for job in pipeline.jobs:
            sessions[job.name] = StepOperator(
                task_id=job.name,
                pipeline=pipeline,
                step=RunJob(job.name),
                custom_operator_name="Livy session",
                # The cluster is sized for this many runs at once; a deferred task counts (Airflow 3.3). Where jobs
                # wait for others, that alone would let more sessions start: steps.session_room.
                max_active_tis_per_dag=pipeline.max_parallel_runs,
            )
            sessions[job.name] >> release_emr
        for job in pipeline.jobs:
            for other in pipeline.upstream(job):
                sessions[other.name] >> sessions[job.name]
    return group
