"""Windows."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from airflow_lib.errors import DeclarationError, SettingsError
from airflow_lib.pipeline import Window, WindowUnit
from airflow_lib.pipeline.window import parse_window


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


def test_params_that_are_days_make_a_window_of_days() -> None:
    given = {"window_start": "2016-04-01", "window_end": "2016-04-03"}
    assert parse_window(given, WindowUnit.DAY) == Window(date(2016, 4, 1), date(2016, 4, 3))


def test_params_that_are_instants_are_in_utc_whatever_their_offset() -> None:
    given = {"window_start": "2016-04-01T10:00:00+02:00", "window_end": "2016-04-01T09:00:00"}
    start, end = datetime(2016, 4, 1, 8, tzinfo=UTC), datetime(2016, 4, 1, 9, tzinfo=UTC)
    assert parse_window(given, WindowUnit.INSTANT) == Window(start, end)


@pytest.mark.parametrize("end", ["2016-04-01", "2016-03-31"])
def test_params_that_are_no_window_are_refused_with_what_to_do(end: str) -> None:
    with pytest.raises(SettingsError, match="are no window. The window") as caught:
        parse_window({"window_start": "2016-04-01", "window_end": end}, WindowUnit.DAY)
    assert isinstance(caught.value.__cause__, DeclarationError)


def test_a_param_of_the_other_unit_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match=r"The param window_end is .* windows of days") as caught:
        parse_window({"window_start": "2016-04-01", "window_end": "2016-04-01T10:00:00Z"}, WindowUnit.DAY)
    assert isinstance(caught.value.__cause__, ValueError)
