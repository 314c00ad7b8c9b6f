"""The janitor as an Airflow DAG: one task, every quarter of an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_lib.describe import JANITOR
from airflow_lib.janitor import PASS_S
from operators.janitor import JanitorOperator


def build_janitor_dag() -> DAG:
    """The janitor's DAG, which looks after every pipeline of the deployment."""
    with DAG(
        dag_id="janitor",
        description="Removes what outlived its lease",
        schedule="*/15 * * * *",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=True,  # whoever sets up a deployment decides when its janitor starts
        tags=["mayfly"],
        doc_md=JANITOR,
    ) as dag:
        JanitorOperator(
            task_id="pass",
            retries=0,  # this pass's teardowns hold leases of their own, and the next pass continues them
            execution_timeout=timedelta(seconds=2 * PASS_S),
        )
    return dag
