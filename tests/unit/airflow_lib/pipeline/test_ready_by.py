"""A time of day by which the day before is to be loaded."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from airflow_lib.pipeline.ready_by import ReadyBy

BERLIN = ReadyBy.parse("06:00 Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "day", "at"),
    [
        (datetime(2026, 7, 2, 4, 0), date(2026, 7, 1), datetime(2026, 7, 2, 4)),  # 06:00 in Berlin's summer
        (datetime(2026, 7, 2, 3, 59, 59), date(2026, 6, 30), datetime(2026, 7, 1, 4)),
        (datetime(2026, 1, 2, 5, 0), date(2026, 1, 1), datetime(2026, 1, 2, 5)),  # and in its winter
        (datetime(2026, 1, 2, 4, 59, 59), date(2025, 12, 31), datetime(2026, 1, 1, 5)),
        (datetime(2026, 1, 1, 23, 30), date(2025, 12, 31), datetime(2026, 1, 1, 5)),  # it is 2 January there
    ],
)
def test_the_latest_due_day_is_the_one_before_the_last_time_that_it_was_so_late(
    now: datetime, day: date, at: datetime
) -> None:
    due = BERLIN.latest_due(now.replace(tzinfo=UTC))
    assert (due.day, due.at) == (day, at.replace(tzinfo=UTC))


def test_a_time_that_the_clocks_skip_is_due_that_day_all_the_same() -> None:
    """On 29 March 2026 Berlin has no 02:30."""
    ready_by = ReadyBy.parse("02:30 Europe/Berlin")
    assert ready_by.latest_due(datetime(2026, 3, 29, 1, 30, tzinfo=UTC)).day == date(2026, 3, 28)
    assert ready_by.latest_due(datetime(2026, 3, 29, 1, 29, tzinfo=UTC)).day == date(2026, 3, 27)


def test_it_is_written_as_it_is_read() -> None:
    assert str(BERLIN) == "06:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "6:00 Europe/Berlin",
            "'6:00 Europe/Berlin' is no time of day in a time zone; write one such as 06:00",
        ),
        ("24:00 Europe/Berlin", "is no time of day"),
        ("06:60 Europe/Berlin", "is no time of day"),
        ("06:00", "is no time of day"),
        ("06:00 CET+1 ", "is no time of day"),
        ("06:00 Europe/Berlim", "'Europe/Berlim' is no time zone; did you mean 'Europe/Berlin'?"),
        ("06:00 ../../etc/passwd", "is no time zone"),
    ],
)
def test_what_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="no time") as caught:
        ReadyBy.parse(text)
    assert told in str(caught.value)
