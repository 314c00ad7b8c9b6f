"""Whether every SQL template that a pipeline needs is there, renders, and is Redshift's SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlglot import exp

from airflow_lib.bounded_json import as_text
from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import Pipeline, WindowUnit
from airflow_lib.warehouse.create_template import columns
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.sql import ROOT, Script, render

# By folder: which statements may be there, in sqlglot's words, and how that is said. TRUNCATE is not among them, as it
# commits: https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
_CHANGES = frozenset({"insert", "update", "delete", "merge", "create", "drop"})
_EXPECTED = {
    "load": (_CHANGES, "INSERT, or what else changes tables inside a transaction,"),
    "prune": (_CHANGES, "DELETE, or what else changes tables inside a transaction,"),
    "answers": (frozenset({"select", "union", "intersect", "except", "subquery"}), "one SELECT"),
}

# In place of a run's own.
SCHEMA = "staging_000000000000"
DAY = (date(2000, 1, 1), date(2000, 1, 2))
INSTANT = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, 1, tzinfo=UTC))


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
    start, end = INSTANT if pipeline.window_unit is WindowUnit.INSTANT else DAY
    run = {"schema": SCHEMA, "window_start": start, "window_end": end}
    for staged in pipeline.staging:
        yield "create", staged.name, {"schema": SCHEMA}
    for table in pipeline.warehouse_tables:
        yield "create", table.name, {}
        yield "load", table.name, run
    for dimension in pipeline.dimensions:
        yield "prune", dimension.name, run
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
            yield from _kind_mistakes(folder, script, parse_script(script))
    except WarehouseError as error:
        yield error.message


def _alike(missing: Path) -> str:
    return did_you_mean(missing.stem, [other.stem for other in missing.parent.glob(f"*{missing.suffix}")])


def _kind_mistakes(folder: str, script: Script, parsed: Sequence[exp.Expr]) -> Iterator[str]:
    kinds, expected = _EXPECTED[folder]
    if not parsed or (len(parsed) > 1 and folder == "answers"):
        yield f"{script.template} holds {len(parsed)} statements, but {expected} is expected"
        return
    for statement in parsed:
        if statement.key not in kinds:
            begins = as_text(statement.sql("redshift"), 40)
            yield f"{script.template}: {begins!r} is out of place: {expected} is expected"
