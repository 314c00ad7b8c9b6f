"""Windows."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import (
    Window,
)


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
