"""Whether every SQL template that a pipeline needs is there, renders, and is Redshift's SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse.create_template import columns
from airflow_lib.warehouse.select_template import SCHEMA, load_values, parse_query
from airflow_lib.warehouse.sql import ROOT, render


def template_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """The templates that are missing, do not render with what a run gives them, or are no statements of their kind."""
    own = root / pipeline.name
    if not own.is_dir():
        yield f"{root.name}/{own.name}/ is missing: write the SQL there, one file a table and step{_alike(own)}"
        return
    for folder, name, values in _list_templates(pipeline):
        yield from _mistakes(root, pipeline.name, folder, name, values)


def _list_templates(pipeline: Pipeline) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Folder and name of each template, with values such as those that it is rendered with."""
    for staged in pipeline.staging:
        yield "create", staged.name, {"schema": SCHEMA}
    for table in pipeline.warehouse_tables:
        yield "create", table.name, {}
        yield "load", table.name, load_values(pipeline)
    for answer in pipeline.answers:
        yield "answers", answer.name, {}


def _mistakes(root: Path, pipeline: str, folder: str, name: str, values: Mapping[str, Any]) -> Iterator[str]:
    file = root / pipeline / folder / f"{name}.sql"
    if not file.is_file():
        yield f"{file.relative_to(root.parent)} is missing: write it, or correct the name{_alike(file)}"
        return
    try:
        script = render(f"{pipeline}/{folder}/{name}", root=root, **values)
        if folder == "create":
            columns(pipeline, name, root=root)
        else:
            parse_query(script)
    except WarehouseError as error:
        yield error.message


def _alike(missing: Path) -> str:
    return did_you_mean(missing.stem, [other.stem for other in missing.parent.glob(f"*{missing.suffix}")])
