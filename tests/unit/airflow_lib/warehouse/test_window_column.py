"""A pipeline whose windows are instants has window columns that tell them apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airflow_lib.pipeline import Pipeline, WindowUnit
from airflow_lib.warehouse.window_column import window_column_mistakes
from tests.unit.airflow_lib.warehouse.shop import SHOP
from tests.world import readings
from tests.world.pipeline import TEMPLATES

INSTANTS = replace(SHOP, window_unit=WindowUnit.INSTANT)


def mistakes(pipeline: Pipeline, root: Path, column: str) -> list[str]:
    (root / "shop" / "create").mkdir(parents=True)
    script = f"-- Sales.\nCREATE TABLE IF NOT EXISTS factSale (sale BIGINT, {column}) SORTKEY (day);\n"
    (root / "shop" / "create" / "factSale.sql").write_text(script)
    return list(window_column_mistakes(pipeline, root=root))


@pytest.mark.parametrize(
    "column", ["day TIMESTAMP NOT NULL", "DAY timestamp without time zone", "day TIMESTAMPTZ"]
)
def test_a_timestamp_is_right(tmp_path: Path, column: str) -> None:
    assert mistakes(INSTANTS, tmp_path, column) == []


@pytest.mark.parametrize("kind", ["DATE", "VARCHAR(19)", "BIGINT"])
def test_another_type_is_a_mistake_since_its_windows_would_hold_other_rows(tmp_path: Path, kind: str) -> None:
    (mistake,) = mistakes(INSTANTS, tmp_path, f"day {kind} NOT NULL")
    assert f"window column 'day' is a {kind} in shop/create/factSale.sql" in mistake
    assert mistake.endswith("make it a TIMESTAMP")


@pytest.mark.parametrize("column", ["day DATE", "day VARCHAR(10)", "day TIMESTAMP"])
def test_windows_of_days_go_with_each(tmp_path: Path, column: str) -> None:
    assert mistakes(SHOP, tmp_path, column) == []


@pytest.mark.parametrize("column", ["night DATE", "day ("])
def test_a_template_that_does_not_tell_is_not_this_checks_matter(tmp_path: Path, column: str) -> None:
    assert mistakes(INSTANTS, tmp_path, column) == []
    assert list(window_column_mistakes(INSTANTS, root=tmp_path / "nowhere")) == []


def test_the_small_pipeline_of_instants_is_right() -> None:
    assert list(window_column_mistakes(readings.PIPELINE, root=TEMPLATES)) == []
