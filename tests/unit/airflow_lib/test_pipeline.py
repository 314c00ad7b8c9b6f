"""What a declaration is made of."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import (
    AcceptedValues,
    Complete,
    Dimension,
    Fact,
    Holds,
    NotNull,
    Pipeline,
    References,
    Source,
    SparkJob,
    Staging,
    Unique,
    Window,
    WindowUnit,
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


def test_tables_are_grouped_by_kind_and_kept_in_order():
    assert [table.name for table in GOOD.warehouse_tables] == ["dimBird", "factSighting"]
    assert [table.name for table in GOOD.staging] == ["staging_sightings"]
    assert [table.name for table in GOOD.dimensions] == ["dimBird"]
    assert [table.name for table in GOOD.facts] == ["factSighting"]


def test_a_job_is_found_by_its_name():
    assert GOOD.job("sightings") is GOOD.jobs[0]


def test_a_window_that_ends_before_it_starts_is_refused():
    with pytest.raises(DeclarationError, match="swap the two"):
        Window(date(2016, 5, 1), date(2016, 4, 1))


def test_an_empty_window_is_refused_since_its_run_would_load_nothing_and_be_green():
    with pytest.raises(DeclarationError, match="is empty"):
        Window(date(2016, 4, 1), date(2016, 4, 1))


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (date(2016, 4, 1), datetime(2016, 4, 2, tzinfo=UTC), "mixes a day and an instant"),
        (datetime(2016, 4, 1, tzinfo=UTC), datetime(2016, 4, 2), "window's end .* is not in UTC"),
        (
            datetime(2016, 4, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2016, 4, 2, tzinfo=UTC),
            "window's start .* is not in UTC",
        ),
        ("2016-04-01", date(2016, 4, 2), "window's start is '2016-04-01': give a date"),
        (date(2016, 4, 1), None, "window's end is None"),
    ],
)
def test_a_window_is_two_days_or_two_instants_in_utc(start, end, problem):
    with pytest.raises(DeclarationError, match=problem):
        Window(start, end)


def test_a_window_may_be_of_instants_and_a_pipeline_says_whether_it_is():
    assert str(Window(datetime(2016, 4, 1, 23, 50, tzinfo=UTC), datetime(2016, 4, 2, tzinfo=UTC))) == (
        "2016-04-01 23:50:00+00:00 to 2016-04-02 00:00:00+00:00"
    )
    assert GOOD.window_unit is WindowUnit.DAY


def test_a_source_in_more_than_one_form_keeps_their_order():
    assert Source("sas_data/", "arrivals.csv").names == ("sas_data/", "arrivals.csv")


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (NotNull("dimBird", ("a", "b")), "not_null_dimBird"),
        (Unique("dimBird", ("a", "b")), "unique_dimBird_a_b"),
        (References("factSighting", "bird", "dimBird", "bird_id"), "references_factSighting_bird_dimBird"),
        (Complete("sightings", "staging_sightings", "factSighting"), "complete_factSighting"),
        (AcceptedValues("dimBird", "size", ("S",)), "accepted_values_dimBird_size"),
        (Holds("cheap", "dimBird", "price < 5"), "cheap"),
    ],
)
def test_a_check_is_named_by_what_it_checks(check, name):
    """The name is its task's id."""
    assert check.name == name
