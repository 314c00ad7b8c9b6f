"""Whether the bounds of a declaration's checks can be met, and fit the columns that they bound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlglot import exp

from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import Between, Check, Fresh, Pipeline, RowCount
from airflow_lib.warehouse.create_template import Column, columns
from airflow_lib.warehouse.sql import ROOT

_NUMBERS = exp.DataType.NUMERIC_TYPES
_DAYS = {exp.DataType.Type.DATE}
_INSTANTS = {
    exp.DataType.Type.TIMESTAMP,
    exp.DataType.Type.TIMESTAMPNTZ,
    exp.DataType.Type.TIMESTAMPTZ,
}


def check_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """The bounds of `Pipeline.checks` that bind nothing or cannot be met, and the columns that they do not fit.

    A table whose template does not tell its columns is left out: `templates` tells of it.
    """
    for check in pipeline.checks:
        mistakes = list(bound_mistakes(check))
        yield from mistakes
        if isinstance(check, Between | Fresh) and not mistakes:
            yield from _column_mistakes(pipeline, check, root)


def bound_mistakes(check: Check) -> Iterator[str]:
    """What is wrong with a check's bounds, whatever it is about."""
    where = f"check {check.name!r}"
    match check:
        case Between():
            yield from _between_mistakes(where, check)
        case Fresh():
            if not 0 < check.max_age_h < math.inf:
                yield f"{where}: max_age_h {check.max_age_h} is no age: give hours, more than 0"
        case RowCount():
            yield from _row_count_mistakes(where, check)


def _between_mistakes(where: str, check: Between) -> Iterator[str]:
    bounds = [bound for bound in (check.low, check.high) if bound is not None]
    if not bounds:
        yield f"{where} has neither low nor high, so nothing could fail it: give one of them, or leave the check out"
    for bound in bounds:
        if isinstance(bound, float) and not math.isfinite(bound):
            yield f"{where}: {bound} is no number to compare with: give None for a bound that does not bind"
            return
        if isinstance(bound, datetime) and bound.tzinfo is None:
            yield f"{where}: {bound!r} has no time zone, so it is no instant: give one in UTC"
            return
    kinds = {_kind_of(bound) for bound in bounds}
    if len(kinds) > 1:
        yield f"{where}: low is {check.low!r} and high is {check.high!r}: give two of one kind"
    elif len(bounds) == 2 and _is_above(*bounds):
        yield f"{where}: low {check.low} is above high {check.high}: swap the two"


def _is_above(low: Any, high: Any) -> bool:
    """Of two bounds of one kind."""
    return bool(low > high)


def _row_count_mistakes(where: str, check: RowCount) -> Iterator[str]:
    bounds = {"at_least": check.at_least, "at_most": check.at_most}
    for name, bound in bounds.items():
        if bound is not None and bound < 0:
            yield f"{where}: {name} {bound} is no number of rows: give 0 or more"
            return
    if not check.at_least and check.at_most is None:
        yield f"{where} has no bound that a table could miss: give at_least=1 or more, or at_most"
    if None not in bounds.values() and (check.at_least or 0) > (check.at_most or 0):
        yield f"{where}: at_least {check.at_least} is above at_most {check.at_most}: swap the two"


def _kind_of(bound: object) -> str:
    if isinstance(bound, datetime):
        return "instant"
    return "date" if isinstance(bound, date) else "number"


def _column_mistakes(pipeline: Pipeline, check: Between | Fresh, root: Path) -> Iterator[str]:
    try:
        found = columns(pipeline.name, check.table, root=root)
    except WarehouseError:
        return
    template = f"{pipeline.name}/create/{check.table}.sql"
    column = next((one for one in found if one.name.lower() == check.column.lower()), None)
    if column is None:
        yield (
            f"check {check.name!r}: column {check.column!r} is no column of {template}: correct the one or the other"
            f"{did_you_mean(check.column, [one.name for one in found])}"
        )
    elif expected := _expected(check, column):
        yield (
            f"check {check.name!r}: column {check.column!r} is a {column.type_name} in {template}, but {expected}"
        )


def _expected(check: Between | Fresh, column: Column) -> str:
    """What the column should have been; empty where it is that. Text would be compared letter by letter."""
    kind = column.type.this
    if isinstance(check, Fresh):
        fits = kind in _DAYS | _INSTANTS
        return "" if fits else "an age is told by a DATE or TIMESTAMP: name such a column, or make it one"
    bound = _kind_of(check.low if check.low is not None else check.high)
    if bound == "number":
        return "" if kind in _NUMBERS else "its bounds are numbers: name a column of numbers, or use Holds"
    if bound == "instant":
        return (
            "" if kind in _INSTANTS else "its bounds are instants: name a TIMESTAMP, or give numbers or dates"
        )
    fits = kind in _DAYS | _INSTANTS
    return "" if fits else "its bounds are dates: name a DATE or TIMESTAMP, or use Holds with a CAST"
