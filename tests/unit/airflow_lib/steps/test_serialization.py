"""Dataclasses survive the way through JSON, and nothing foreign is ever made from it."""

import json
from datetime import UTC, date, datetime

import pytest

from airflow_lib.pipeline import Holds, NotNull, OneOf, Pipeline, Severity, SparkJob, Staging, Unique, Window
from airflow_lib.steps.serialization import from_json, to_json

PIPELINE = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1, tzinfo=UTC),
    jobs=(SparkJob("sightings", sources=(OneOf("a/", "a.csv"), "b"), windowed=True),),
    tables=(Staging("staging_sightings", job="sightings"),),
    checks=(
        NotNull("staging_sightings", ("x",)),
        Unique("staging_sightings", ("x",)),
        Holds("later", "staging_sightings", "a < b", severity=Severity.WARN),
    ),
)


@pytest.mark.parametrize(
    "value", [PIPELINE, Window(date(2016, 4, 1), date(2016, 5, 1)), {"a": ("b", 1, None)}]
)
def test_what_goes_in_comes_out(value):
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize("kind", ["os:system", "airflow_lib.steps.serialization:to_json", "subprocess:Popen"])
def test_a_class_that_is_not_ours_is_refused(kind):
    with pytest.raises(ValueError, match="is not a class of|neither a dataclass nor an enum"):
        from_json({"__kind__": kind})
