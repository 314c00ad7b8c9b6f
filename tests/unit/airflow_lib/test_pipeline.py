"""A declaration is checked whole, and every mistake names its mend."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import (
    Complete,
    Dimension,
    Fact,
    NotNull,
    Pipeline,
    References,
    SparkJob,
    Staging,
    Window,
)

GOOD = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1, tzinfo=UTC),
    jobs=(SparkJob("sightings", sources=("sightings.csv",), windowed=True),),
    tables=(
        Staging("staging_sightings", job="sightings"),
        Dimension("dimBird", key="bird_id"),
        Fact("factSighting", key="sighting_id", window_column="seen_on"),
    ),
)


def test_tables_are_told_apart_and_kept_in_order():
    assert [table.name for table in GOOD.warehouse_tables] == ["dimBird", "factSighting"]
    assert [table.name for table in GOOD.staging] == ["staging_sightings"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "Birds of Prey"}, "use 1 to 16 lower-case letters and digits"),
        ({"start": datetime(2020, 1, 1)}, "give it a time zone"),
        ({"jobs": ()}, "no jobs: declare at least one SparkJob"),
        ({"jobs": (SparkJob("sightings", sources=()),)}, "job 'sightings' reads nothing"),
        ({"max_parallel_runs": 0}, "max_parallel_runs 0: at least 1"),
        ({"answers": ("a", "a")}, "answer 'a' is declared 2 times"),
        ({"answers": ("drop table;",)}, "answer 'drop table;': use letters, digits and _"),
        ({"tables": (Staging("s", job="nests"),)}, "the output of job 'nests', which is not declared"),
        ({"checks": (NotNull("dimNest", ("x",)),)}, "names table 'dimNest', which is not declared"),
        ({"checks": (References("dimBird", "x", "dimNest", "x"),)}, "names table 'dimNest'"),
        ({"checks": (Complete("nests", "staging_sightings", "factSighting"),)}, "names job 'nests'"),
    ],
)
def test_a_mistake_is_named_with_its_mend(change, told):
    with pytest.raises(DeclarationError) as caught:
        replace(GOOD, **change)
    assert told in str(caught.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(DeclarationError) as caught:
        replace(GOOD, name="", max_parallel_runs=0, answers=("a", "a"))
    assert str(caught.value).count("\n- ") == 3


def test_a_window_that_ends_before_it_starts_is_refused():
    with pytest.raises(DeclarationError, match="swap the two"):
        Window(date(2016, 5, 1), date(2016, 4, 1))
