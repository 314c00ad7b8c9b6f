"""What a run takes in, as it is declared."""

from __future__ import annotations

from airflow_lib.pipeline import Standing
from airflow_lib.steps.serialization import from_json, to_json
from tests.world.pipeline import PIPELINE


def test_a_pipeline_takes_in_standing_files_unless_it_says_otherwise() -> None:
    assert PIPELINE.intake == Standing()
    assert not PIPELINE.intake.may_be_empty


def test_the_intake_is_the_same_after_serialization_for_the_triggerer() -> None:
    assert from_json(to_json(PIPELINE)).intake == Standing()
