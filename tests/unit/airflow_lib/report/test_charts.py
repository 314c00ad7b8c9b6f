"""Which answers are drawn as bars."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_lib.report.charts import draw_chart
from airflow_lib.report.sections import Answer
from tests.report_sample import ROWS


def answer(columns: list[str], rows: list[list[Any]]) -> Answer:
    return Answer("a", columns, rows, len(rows))


def test_a_number_for_each_name_is_drawn_with_the_longest_bar_as_the_measure() -> None:
    chart = draw_chart(answer(["station", "state", "readings", "mean"], ROWS))
    assert chart is not None
    assert (chart.labels, chart.values, chart.more) == ("station", "readings", 0)
    assert [(bar.label, bar.value) for bar in chart.bars][:2] == [("Zugspitze", 144), ("Feldberg", 143)]
    assert [bar.share for bar in chart.bars][::4] == [100, 66.67]


def test_as_many_names_are_joined_as_tell_the_rows_apart() -> None:
    rows = [["Pleasure", "WT", "x", 5], ["Pleasure", "B2", "x", 4], [None, "B2", "x", 0]]
    chart = draw_chart(answer(["visa", "type", "more", "n"], rows))
    assert chart is not None
    assert chart.labels == "visa · type"
    assert [bar.label for bar in chart.bars] == ["Pleasure · WT", "Pleasure · B2", "— · B2"]


def test_dates_are_names() -> None:
    assert draw_chart(answer(["day", "n"], [["2026-01-01", 1], ["2026-01-02", 2.5]])) is not None


def test_of_many_rows_the_first_are_drawn() -> None:
    chart = draw_chart(answer(["day", "n"], [[f"d{number}", number] for number in range(40)]))
    assert chart is not None
    assert (len(chart.bars), chart.more) == (15, 25)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (["n"], [[1], [2]]),
        (["id", "day"], [[1, "a"], [2, "b"]]),
        (["day", "n"], [["a", 1]]),
        (["day", "n"], [["a", 1], ["a", 2]]),
        (["day", "n"], [["a", 1], ["b", None]]),
        (["day", "n"], [["a", 1], ["b", "NaN"]]),
        (["day", "n"], [["a", 1], ["b", -1]]),
        (["day", "n"], [["a", 0], ["b", 0]]),
        (["day", "n"], []),
        ([], []),
    ],
)
def test_what_is_no_number_for_each_name_is_not_drawn(columns: list[str], rows: list[list[Any]]) -> None:
    assert draw_chart(answer(columns, rows)) is None
