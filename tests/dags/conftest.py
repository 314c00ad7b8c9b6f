"""DAG files are parsed and serialised without a database, and never run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, TaskGroup

from airflow_lib.pipeline import Dimension, Fact, NotNull, Pipeline, SparkJob, Staging, Unique

ROOT = Path(__file__).resolve().parents[2]

FLATS = Pipeline(
    name="flats",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(SparkJob("flats", sources=("flats.csv",)), SparkJob("rents", sources=("rents.csv",))),
    tables=(
        Staging("staging_flats", job="flats"),
        Staging("staging_rents", job="rents"),
        Dimension("dim_flats", key="flat"),
        Fact("rents", key="rent", window_column="day"),
    ),
    checks=(NotNull("rents", ("rent",)), Unique("rents", ("rent",))),
    answers=("dearest", "cheapest"),
    max_parallel_runs=3,
)


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    return DagBag(str(ROOT / "dags"))


@pytest.fixture(scope="session")
def dag(dagbag: DagBag) -> DAG:
    return dagbag.dags["immigration"]


@pytest.fixture
def build() -> Callable[[Callable[[Pipeline], TaskGroup]], DAG]:
    """`build(part)`: a DAG that holds one part of the pipeline FLATS and nothing else."""

    def build_part(part: Callable[[Pipeline], TaskGroup]) -> DAG:
        with DAG("flats", schedule=None, start_date=FLATS.start) as dag:
            part(FLATS)
        return dag

    return build_part
