"""Numbers, times and text as the page shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from markupsafe import Markup

from airflow_lib.report import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (-1, "0.0 s"),
        (0.26, "0.3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.7, "1 h 00 min"),
        (7384, "2 h 03 min"),
    ],
)
def test_a_time_is_told_to_the_precision_that_matters(seconds: float | None, text: str) -> None:
    assert words.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (True, "true"),
        (61_204_118, "61204118"),
        (0.1 + 0.2, "0.3"),
        (1234567.25, "1234567.25"),
        ("x", "x"),
        ([1], "[1]"),
    ],
)
def test_a_value_is_shown_as_it_is(value: Any, text: str) -> None:
    assert words.format_cell(value) == text


def test_numbers_of_rows_have_their_thousands_apart() -> None:
    assert words.format_count(61_204_118) == "61\u202f204\u202f118"
    assert words.plural(1, "row") == "1 row"
    assert words.plural(2000, "row") == "2\u202f000 rows"
    assert words.plural(2, "thing is", "things are") == "2 things are"


def test_moments_are_in_utc() -> None:
    moment = datetime(2026, 11, 28, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert words.format_time(moment) == "2026-11-27 23:02:03"
    assert words.format_clock(moment) == "23:02:03"
    assert words.format_time(None) == words.format_clock(None) == "—"
    assert words.format_clock(datetime(2026, 1, 1, tzinfo=UTC)) == "00:00:00"


def test_text_is_cut_and_says_so() -> None:
    cut = words.bounded("x" * 1000, 40)
    assert len(cut) == 40
    assert "1000 characters" in cut


def test_what_would_change_how_the_text_around_it_is_read_is_taken_out() -> None:
    assert words.bounded("a\x00b\x1bc\u202ed\u2066e\nf\tg", 99) == "a\ufffdb\ufffdc\ufffdd\ufffde\nf\tg"


def test_markup_and_numbers_stay_as_they_are() -> None:
    assert words.bounded(Markup("<b>" * 99), 5) == Markup("<b>" * 99)
    assert words.bounded(123456, 2) == 123456


@pytest.mark.parametrize(
    ("value", "numeric"),
    [(1, True), (1.5, True), (True, False), ("1", False), (float("inf"), False), (None, False)],
)
def test_only_finite_numbers_are_numbers(value: Any, *, numeric: bool) -> None:
    assert words.is_number(value) is numeric
