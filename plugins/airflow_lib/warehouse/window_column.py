"""Whether the window columns of a pipeline tell the instants of its windows apart; from its templates alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import Fact, Pipeline, WindowUnit
from airflow_lib.warehouse.create_template import columns
from airflow_lib.warehouse.sql import ROOT

_INSTANTS = frozenset({"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})


def window_column_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """The facts of a pipeline whose windows are instants that have a window column of another type.

    The warehouse would take an instant for a DATE's day without a word, so that a window of ten minutes holds no row,
    and would compare text letter by letter. What else is wrong with a template is not told here.
    """
    if pipeline.window_unit is not WindowUnit.INSTANT:
        return
    for fact in pipeline.facts:
        kind = _type_of(pipeline, fact, root)
        if kind is not None and kind not in _INSTANTS:
            yield (
                f"table {fact.name!r}: its window column {fact.window_column!r} is a {kind} in "
                f"{pipeline.name}/create/{fact.name}.sql, but the windows are instants: make it a TIMESTAMP"
            )


def _type_of(pipeline: Pipeline, fact: Fact, root: Path) -> str | None:
    """The window column's type; None where the template does not tell."""
    try:
        listed = columns(pipeline.name, fact.name, root=root)
    except WarehouseError:
        return None
    wanted = fact.window_column.lower()
    return next((one.type_name for one in listed if one.name.lower() == wanted), None)
