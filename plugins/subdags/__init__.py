"""A declared pipeline as an Airflow DAG: plan, provision, transform, load, verify, answers, release, verdict.

Each part is a function that returns a TaskGroup. Dependencies between parts are set here, between single tasks
and no more of them than needed: a Spark session waits for EMR and not for Redshift, a COPY for its own session.

`plan` is a setup of every teardown: it touches nothing and cannot fail, and Airflow skips a teardown none of
whose setups succeeded. Every teardown fails the run when it fails. There is no `dagrun_timeout`: Airflow would
skip the teardowns when it is over.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

from airflow.sdk import DAG, BaseOperator, Param, TaskGroup, get_parsing_context

from airflow_lib.describe import describe_dag
from airflow_lib.pipeline import Pipeline, WindowUnit
from operators.plan_and_verdict import PlanOperator, VerdictOperator
from subdags.deployment import with_deployment
from subdags.load import load
from subdags.provision import provision
from subdags.release import release
from subdags.schedule import make_timetable
from subdags.transform import transform
from subdags.verify import answers, verify

_DEFAULTS = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "execution_timeout": timedelta(hours=3),  # each wait has a shorter deadline of its own
}


def build_dag(pipeline: Pipeline) -> DAG:
    """The DAG of `pipeline`. Airflow takes the file that calls this for the DAG's file.

    Raises DeclarationError that lists every mistake that can be told without AWS.
    """
    # Not where a worker parses the file, to run one task: the DAG processor has accepted the declaration, and a mistake
    # that came into the files since must not keep a teardown from its work.
    # https://airflow.apache.org/docs/apache-airflow/stable/howto/dynamic-dag-generation.html
    deployed = with_deployment(pipeline)
    shown: dict[str, Any] = {"owner": deployed.owner, "tags": deployed.tags}
    if get_parsing_context().task_id is not None:
        return make_dag(deployed.for_a_task(), **shown)
    from airflow_lib.declaration import validate  # noqa: PLC0415  it imports sqlglot, which takes 0.1 s

    validate(deployed.pipeline, also=[deployed.look])
    return make_dag(deployed.pipeline, **shown)


def make_dag(pipeline: Pipeline, *, owner: str = "", tags: Collection[str] = ()) -> DAG:
    """The DAG of a pipeline that can work; without an `owner` Airflow shows its own default."""
    limit: dict[str, Any] = (
        {} if pipeline.max_active_runs is None else {"max_active_runs": pipeline.max_active_runs}
    )
    with DAG(
        dag_id=pipeline.name,
        description=pipeline.description,
        schedule=make_timetable(pipeline),
        start_date=pipeline.start,
        catchup=pipeline.catchup,
        default_args={**_DEFAULTS, "owner": owner} if owner else _DEFAULTS,
        doc_md=describe_dag(pipeline),
        params={**_window_params(pipeline), "force": _force_param()},
        tags=["mayfly", *tags],
        **limit,
    ) as dag:
        plan = PlanOperator(task_id="plan", pipeline=pipeline)
        provisioned = provision(pipeline)
        transformed = transform(pipeline)
        loaded = load(pipeline)
        verified = verify(pipeline)
        answered = answers(pipeline)
        released = release(pipeline)
        verdict = VerdictOperator(task_id="verdict", pipeline=pipeline)

        lease, emr, warehouse = (_task(provisioned, name) for name in ("lease", "emr", "warehouse"))
        shared = [plan, lease]
        plan >> _task(provisioned, "preflight")
        release_emr = _task(transformed, "release_emr")
        for job in pipeline.jobs:
            emr >> _task(transformed, job.name)
        warehouse >> _task(loaded, "create_tables")
        for table in pipeline.staging:
            _task(transformed, pipeline.job_of(table.output).name) >> _task(loaded, table.name)
        _task(loaded, "load_window") >> verified >> answered >> _task(released, "release_warehouse")
        release_emr >> _task(released, "inventory") >> verdict

        release_emr.as_teardown(setups=[*shared, emr], on_failure_fail_dagrun=True)
        _task(released, "release_warehouse").as_teardown(
            setups=[*shared, warehouse], on_failure_fail_dagrun=True
        )
        _task(released, "inventory").as_teardown(setups=[plan], on_failure_fail_dagrun=True)
        verdict.as_teardown(setups=[plan], on_failure_fail_dagrun=True)
    return dag


def _window_params(pipeline: Pipeline) -> dict[str, Param]:
    """The form in Airflow's UI: two days, or two instants, whose offset JSON Schema demands (RFC 3339)."""
    if pipeline.window_unit is WindowUnit.DAY:
        kind, form, titles = "date", f"YYYY-MM-DD, {pipeline.timezone}", ("First day", "Day after the last")
    else:
        kind, form, titles = "date-time", "YYYY-MM-DDThh:mm:ss+00:00", ("From", "Until, exclusive")
    return {
        name: Param(None, title=title, description=form, type=["null", "string"], format=kind)
        for name, title in zip(("window_start", "window_end"), titles, strict=True)
    }


def _force_param() -> Param:
    return Param(
        False,
        type="boolean",
        title="Force",
        description="Compute and load all the same, whatever is done already and the warehouse holds",
    )


def _task(group: TaskGroup, label: str) -> BaseOperator:
    """The task of `group` whose id ends in `label`. Raises KeyError where there is none."""
    return cast(BaseOperator, group.get_child_by_label(label))
