"""The hash of a pipeline's SQL changes with all that its tables follow from, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airflow_lib.warehouse.sql_hash import hash_sql
from tests.world.pipeline import PIPELINE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("immigration/load/airports.sql", "shared/copy.sql", "other/load/x.sql"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("SELECT 1;\n")
    return tmp_path


@pytest.mark.parametrize("name", ["immigration/load/airports.sql", "shared/copy.sql"])
def test_it_changes_with_each_template_of_the_pipeline_and_the_shared_ones(root: Path, name: str) -> None:
    before = hash_sql(PIPELINE, root)
    (root / name).write_text("SELECT 2;\n")
    assert hash_sql(PIPELINE, root) != before
    assert len(before) == 64


def test_it_changes_with_tables_checks_and_the_schema_of_answers(root: Path) -> None:
    others = [
        replace(PIPELINE, tables=PIPELINE.tables[::-1]),
        replace(PIPELINE, checks=PIPELINE.checks[:-1]),
        replace(PIPELINE, answers_schema="elsewhere"),
    ]
    assert len({hash_sql(one, root) for one in [PIPELINE, *others]}) == 4


def test_another_pipelines_templates_and_the_jobs_do_not_matter(root: Path) -> None:
    before = hash_sql(PIPELINE, root)
    (root / "other/load/x.sql").write_text("SELECT 2;\n")
    assert hash_sql(replace(PIPELINE, jobs=PIPELINE.jobs[:1]), root) == before
