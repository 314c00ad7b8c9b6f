"""DAG files are parsed and serialised without a database, and never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, TaskGroup

from airflow_lib.pipeline import Pipeline
from tests.dags.flats import FLATS
from tests.sql.declarations import declared_pipelines

ROOT = Path(__file__).resolve().parents[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `pipeline`, or for its `dag`, runs once for every pipeline that a DAG file declares."""
    if "pipeline" in metafunc.fixturenames:
        metafunc.parametrize("pipeline", declared_pipelines(), ids=lambda pipeline: pipeline.name)


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    return DagBag(str(ROOT / "dags"))


@pytest.fixture
def dag(dagbag: DagBag, pipeline: Pipeline) -> DAG:
    return dagbag.dags[pipeline.name]


@pytest.fixture
def build() -> Callable[[Callable[[Pipeline], TaskGroup]], DAG]:
    """`build(part)`: a DAG that holds one part of the pipeline FLATS and nothing else."""

    def build_part(part: Callable[[Pipeline], TaskGroup]) -> DAG:
        with DAG("flats", schedule=None, start_date=FLATS.start) as dag:
            part(FLATS)
        return dag

    return build_part
