"""A declared pipeline as an Airflow DAG: plan, provision, transform, load, verify, answers, release, verdict.

Each part is a function that returns a TaskGroup. Edges between parts are drawn here, and are no wider than
they must be: a Spark session waits for EMR and not for Redshift, a COPY for its own session alone.

`plan` is a setup of every teardown: it touches nothing and cannot fail, and Airflow skips a teardown none of
whose setups succeeded. Every teardown fails the run when it fails. There is no `dagrun_timeout`: it would
skip the teardowns.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from airflow_lib.pipeline import Pipeline
from operators.plan_and_verdict import PlanOperator, VerdictOperator
from subdags.load import load
from subdags.provision import provision
from subdags.release import release
from subdags.transform import transform
from subdags.verify import answers, verify

_DEFAULTS = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "execution_timeout": timedelta(hours=3),  # each wait has a closer deadline of its own
}

_WINDOW_PARAM = {"type": ["null", "string"], "format": "date"}


def build_dag(pipeline: Pipeline) -> DAG:
    """The DAG of `pipeline`; its file is the one that calls this."""
    timetable = CronDataIntervalTimetable(pipeline.schedule, "UTC") if pipeline.schedule else None
    with DAG(
        dag_id=pipeline.name,
        description=pipeline.description,
        schedule=timetable,
        start_date=pipeline.start,
        catchup=False,
        default_args=_DEFAULTS,
        params={
            "window_start": Param(None, title="First day", description="YYYY-MM-DD, UTC", **_WINDOW_PARAM),
            "window_end": Param(None, title="Day after the last", description="YYYY-MM-DD", **_WINDOW_PARAM),
        },
        tags=["mayfly"],
    ) as dag:
        plan = PlanOperator(task_id="plan", pipeline=pipeline)
        provisioned = provision(pipeline)
        transformed = transform(pipeline)
        loaded = load(pipeline)
        verified = verify(pipeline)
        answered = answers(pipeline)
        released = release(pipeline)
        verdict = VerdictOperator(task_id="verdict", pipeline=pipeline)

        def step(group: object, label: str):  # type: ignore[no-untyped-def]
            return group.get_child_by_label(label)  # type: ignore[attr-defined]

        lease, emr, warehouse = (step(provisioned, name) for name in ("lease", "emr", "warehouse"))
        shared = [plan, lease]
        plan >> step(provisioned, "preflight")
        release_emr = step(transformed, "release_emr")
        for job in pipeline.jobs:
            emr >> step(transformed, job.name)
        warehouse >> step(loaded, "create_tables")
        for table in pipeline.staging:
            step(transformed, table.job) >> step(loaded, table.name)
        step(loaded, "load_window") >> verified >> answered >> step(released, "release_warehouse")
        release_emr >> step(released, "inventory") >> verdict

        release_emr.as_teardown(setups=[*shared, emr], on_failure_fail_dagrun=True)
        step(released, "release_warehouse").as_teardown(
            setups=[*shared, warehouse], on_failure_fail_dagrun=True
        )
        step(released, "inventory").as_teardown(setups=[plan], on_failure_fail_dagrun=True)
        verdict.as_teardown(setups=[plan], on_failure_fail_dagrun=True)
    return dag
