"""An answer as bars: where its rows are a number for each name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_lib.report.sections import Answer
from airflow_lib.report.words import format_cell, is_number

_MAX_BARS = 15


@dataclass(frozen=True)
class ChartBar:
    """One bar; `share` of the longest, from 0 to 100."""

    label: str
    value: Any
    share: float


@dataclass(frozen=True)
class Chart:
    """What the bars are of, and the bars; `more` rows have none."""

    labels: str
    values: str
    bars: tuple[ChartBar, ...]
    more: int


def draw_chart(answer: Answer) -> Chart | None:
    """The first column of numbers after as many columns of text or dates, from the first on, as tell the rows apart.

    None where the rows are no such thing: fewer than two, names that come twice, a number missing or below zero.
    """
    rows = answer.rows
    names: list[int] = []
    for index in range(len(answer.columns)):
        values = [row[index] for row in rows]
        if all(value is None or isinstance(value, str) for value in values):
            names.append(index)
        elif names and all(is_number(value) for value in values):
            return _draw(answer, names, index)
        elif not names:
            return None
    return None


def _draw(answer: Answer, names: Sequence[int], number: int) -> Chart | None:
    rows = answer.rows
    values = [row[number] for row in rows]
    if len(rows) < 2 or min(values) < 0 or max(values) <= 0:
        return None
    for width in range(1, len(names) + 1):
        labels = [" · ".join(format_cell(row[index]) for index in names[:width]) for row in rows]
        if len(set(labels)) == len(labels):
            break
    else:
        return None
    longest = max(values)
    bars = tuple(
        ChartBar(label, value, round(100 * value / longest, 2))
        for label, value in zip(labels[:_MAX_BARS], values[:_MAX_BARS], strict=True)
    )
    title = " · ".join(answer.columns[index] for index in names[:width])
    return Chart(title, answer.columns[number], bars, len(rows) - len(bars))
