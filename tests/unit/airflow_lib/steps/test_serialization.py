"""Dataclasses survive the way through JSON, and nothing foreign is ever made from it."""

import json
from datetime import UTC, date, datetime

import pytest

from airflow_lib.naming import Slot
from airflow_lib.pipeline import (
    Answer,
    Between,
    Fresh,
    Holds,
    NotNull,
    Pipeline,
    RowCount,
    Severity,
    Source,
    SparkJob,
    Staging,
    Unique,
    Window,
)
from airflow_lib.steps.provision import EnsureEmr, TakeLease
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.serialization import from_json, to_json
from airflow_lib.steps.transform import RunJob

PIPELINE = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1, tzinfo=UTC),
    jobs=(SparkJob("sightings", sources=(Source("a/", "a.csv"), "b"), windowed=True),),
    tables=(Staging("staging_sightings", output="sightings"),),
    checks=(
        NotNull("staging_sightings", ("x",)),
        Unique("staging_sightings", ("x",)),
        Holds("later", "staging_sightings", "a < b", severity=Severity.WARN),
        Between("staging_sightings", "seen_at", date(2016, 4, 1), datetime(2016, 5, 1, tzinfo=UTC)),
        Fresh("staging_sightings", "seen_at", 0.5, name="lately"),
    ),
    answers=(Answer("rarest", table=True, checks=(RowCount("rarest", at_least=1),)),),
)


@pytest.mark.parametrize(
    "value",
    [
        PIPELINE,
        Window(date(2016, 4, 1), date(2016, 5, 1)),
        Window(datetime(2016, 4, 1, 10, 20, tzinfo=UTC), datetime(2016, 4, 1, 10, 30, 0, 1, tzinfo=UTC)),
        {"a": ("b", 1, None)},
    ],
)
def test_what_goes_in_comes_out(value):
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize("kind", ["os:system", "airflow_lib.steps.serialization:to_json", "subprocess:Popen"])
def test_a_class_that_is_not_ours_is_refused(kind):
    with pytest.raises(ValueError, match="is not a class of|neither a dataclass nor an enum"):
        from_json({"__kind__": kind})


def of_another_version(value, **changes):
    """The JSON of a value as a version of Mayfly wrote it that has other fields; None removes one."""
    written = to_json(value)
    for name, change in changes.items():
        written.pop(name, None)
        if change is not None:
            written[name] = change
    return json.loads(json.dumps(written))


def test_a_task_deferred_before_a_field_was_added_goes_on_with_its_default():
    written = of_another_version(PIPELINE, description=None, max_parallel_runs=None, hardware=None)
    assert from_json(written) == PIPELINE


def test_a_check_that_was_written_before_it_had_a_name_has_the_one_that_it_would_be_given():
    check = NotNull("staging_sightings", ("x",))
    assert from_json(of_another_version(check, name=None)) == check


def test_a_field_that_this_version_does_not_have_is_ignored():
    assert from_json(of_another_version(RunJob("sightings"), priority="high")) == RunJob("sightings")


def test_a_value_without_a_field_that_has_no_default_is_refused_by_name():
    with pytest.raises(ValueError, match=r"RunJob was written without its field 'job'.*Clear the task"):
        from_json(of_another_version(RunJob("sightings"), job=None))


@pytest.mark.parametrize("step", [EnsureEmr(), ReleaseSlot(Slot.EMR), TakeLease()])
def test_steps_that_wait_survive_the_way_to_the_triggerer(step):
    assert from_json(json.loads(json.dumps(to_json(step)))) == step


def test_a_source_that_the_version_before_called_otherwise_is_read() -> None:
    written = {"__kind__": "airflow_lib.pipeline:OneOf", "names": ["a/", "a.csv"]}
    assert from_json(written) == Source("a/", "a.csv")
