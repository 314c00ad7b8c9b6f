"""DAG files are parsed and serialised without a database, and never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, TaskGroup
from jinja2 import FileSystemLoader

from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse import sql
from tests.dags.flats import FLATS, write_templates
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


@pytest.fixture
def flats_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SQL of the pipeline FLATS is found beside the checkout's own."""
    write_templates(tmp_path / FLATS.name)
    environment = sql._environment.__wrapped__(sql.ROOT)
    environment.loader = FileSystemLoader([sql.ROOT, tmp_path])
    monkeypatch.setattr(sql, "_environment", lambda _: environment)
