"""Whether each table can be loaded, and pruned, as it is declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import Append, Newest, Pipeline, Rebuild, Table
from airflow_lib.warehouse.create_template import Column, columns
from airflow_lib.warehouse.load_order import references_to, sort_loads
from airflow_lib.warehouse.select_template import read_select
from airflow_lib.warehouse.sql import ROOT


def load_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """Loads that lack what they need, or would double rows, and SELECTs that no order satisfies."""
    windowed = [job.name for job in pipeline.jobs if job.loads_window]
    for table in pipeline.warehouse_tables:
        where = f"table {table.name!r}"
        if isinstance(table.load, Newest) and not table.key:
            yield f"{where}: Newest keeps one row for each key, and it has none: give it key=('column', …)"
        if isinstance(table.load, Append) and windowed:
            yield (
                f"{where}: windows may overlap, or be loaded again, so Append would add rows twice, and job "
                f"{windowed[0]!r} is windowed: declare ReplaceWindow('column'), or Newest with a key"
            )
        if table.prune and not references_to(pipeline, table):
            yield (
                f"{where} is to be pruned, but no check References it, so all its rows would go: declare "
                f"References('table', 'column', {table.name!r}, 'key') for each table that does, or leave prune out"
            )
    yield from _select_mistakes(pipeline, root)


def _select_mistakes(pipeline: Pipeline, root: Path) -> Iterator[str]:
    """A SELECT that cannot be read is left out: `templates` tells of it."""
    reads = {}
    for table in pipeline.warehouse_tables:
        try:
            select = read_select(pipeline, table, root=root)
            declared = columns(pipeline.name, table.name, root=root)
        except WarehouseError:
            continue
        reads[table.name.lower()] = select.tables
        where = f"{pipeline.name}/load/{table.name}.sql"
        yield from _rebuild_mistakes(pipeline, table, select.staging)
        yield from _name_mistakes(where, select.columns) or _column_mistakes(where, select.columns, declared)
    try:
        sort_loads(pipeline.warehouse_tables, reads, {})
    except WarehouseError as error:
        yield error.message


def _rebuild_mistakes(pipeline: Pipeline, table: Table, staging: Collection[str]) -> Iterator[str]:
    """Staging that holds the rows of one window alone: of what other windows brought, nothing would be left."""
    if not isinstance(table.load, Rebuild):
        return
    for read in pipeline.staging:
        job = next((one for one in pipeline.jobs if read.output in one.output_names), None)
        if job is not None and job.loads_window and read.name.lower() in staging:
            yield (
                f"table {table.name!r}: Rebuild replaces all its rows, and its SELECT reads {read.name!r}, which holds "
                f"the rows of the run's window alone, so those of all other windows would go: declare "
                "ReplaceWindow('column'), or Newest with a key, or let the SELECT read a table that keeps all windows"
            )


def _name_mistakes(where: str, selected: Sequence[str]) -> list[str]:
    """Columns of the SELECT that are known by no name, or by one of which there are several."""
    unnamed = [
        f"{where}: column {number} of its SELECT has no name of its own: give it one with AS"
        for number, name in enumerate(selected, start=1)
        if not name
    ]
    stars = (
        [f"{where}: its SELECT has a *, which tells no columns: write them out"] if "*" in selected else []
    )
    doubles = [
        f"{where}: its SELECT has column {name!r} {count} times: leave it once"
        for name, count in Counter(name.lower() for name in selected if name).items()
        if count > 1 and name != "*"
    ]
    return [*unnamed, *stars, *doubles]


def _column_mistakes(where: str, selected: Sequence[str], declared: Sequence[Column]) -> Iterator[str]:
    """Whether the SELECT gives each column of the table by name, and none that it has not."""
    named = {name.lower(): name for name in selected}
    own = {column.name.lower(): column for column in declared if not column.identity}
    missing = [column for name, column in own.items() if name not in named]
    numbered = {column.name.lower() for column in declared if column.identity}
    for name in (name for name in named if name not in own):
        if name in numbered:
            yield f"{where}: column {name!r} is an identity, which the warehouse numbers itself: leave it out"
        else:
            hint = did_you_mean(named[name], [column.name for column in missing])
            yield f"{where}: column {named[name]!r} is none of its table: leave it out, or correct its name{hint}"
    for column in missing:
        yield (
            f"{where}: its SELECT lacks column {column.name!r}: add it, as CAST(NULL AS {column.type_name}) where "
            "there is nothing to load into it"
        )
