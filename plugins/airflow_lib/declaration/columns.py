"""Whether the columns that a declaration names are those of its tables, by their `create/` templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlglot import exp

from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import (
    AcceptedValues,
    Check,
    Complete,
    Holds,
    Newest,
    NotNull,
    Pipeline,
    References,
    ReplaceWindow,
    Table,
    Unique,
    Window,
    WindowUnit,
)
from airflow_lib.warehouse.create_template import Column, columns
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.quality import CheckContext, render_check
from airflow_lib.warehouse.select_template import DAY, SCHEMA
from airflow_lib.warehouse.sql import ROOT, Script

# The columns of each table, by their names in lower case: Redshift folds names.
Tables = Mapping[str, Mapping[str, Column]]


def column_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """The columns that are named, by tables, loads or checks, and are not there, and checks that are no SQL.

    A table whose template does not tell its columns is left out: `templates` tells of it.
    """
    tables = dict(_read_tables(pipeline, root))
    for table in pipeline.warehouse_tables:
        yield from _table_mistakes(pipeline, tables, table)
    for check in pipeline.checks:
        yield from _check_mistakes(pipeline, tables, check)


def _read_tables(pipeline: Pipeline, root: Path) -> Iterator[tuple[str, Mapping[str, Column]]]:
    for table in pipeline.tables:
        try:
            found = columns(pipeline.name, table.name, root=root)
        except WarehouseError:
            continue
        yield table.name, {column.name.lower(): column for column in found}


def _unknown(
    pipeline: Pipeline, tables: Tables, where: str, table: str, named: Iterable[str]
) -> Iterator[str]:
    known = tables.get(table)
    for name in named if known is not None else ():
        if known is not None and name.lower() not in known:
            yield (
                f"{where} {name!r} is no column of {pipeline.name}/create/{table}.sql: correct the one or the other"
                f"{did_you_mean(name, [column.name for column in known.values()])}"
            )


def _table_mistakes(pipeline: Pipeline, tables: Tables, table: Table) -> Iterator[str]:
    where = f"table {table.name!r}"
    yield from _unknown(pipeline, tables, f"{where}: key", table.name, table.key)
    yield from _nullable_key_mistakes(pipeline, tables, table)
    match table.load:
        case ReplaceWindow(column=column):
            yield from _unknown(pipeline, tables, f"{where}: window column", table.name, [column])
            yield from _window_column_mistakes(pipeline, tables, table.name, column)
        case Newest(by=by) if by:
            yield from _unknown(pipeline, tables, f"{where}: Newest's column", table.name, [by])


def _nullable_key_mistakes(pipeline: Pipeline, tables: Tables, table: Table) -> Iterator[str]:
    """A null equals nothing, so a row without a key would be added by each load again."""
    for name in table.key if isinstance(table.load, Newest | ReplaceWindow) else ():
        column = tables.get(table.name, {}).get(name.lower())
        if column is not None and not column.not_null:
            yield (
                f"table {table.name!r}: its key {name!r} may be null by {pipeline.name}/create/{table.name}.sql, and a "
                "null equals nothing: make the column NOT NULL"
            )


def _window_column_mistakes(pipeline: Pipeline, tables: Tables, table: str, name: str) -> Iterator[str]:
    """Where the windows are instants, the window column tells them apart.

    The warehouse would take an instant for a DATE's day without a word, so that a window of ten minutes holds no row,
    and would compare text letter by letter.
    """
    column = tables.get(table, {}).get(name.lower())
    if pipeline.window_unit is WindowUnit.INSTANT and column is not None and not _is_instant(column):
        yield (
            f"table {table!r}: its window column {name!r} is a {column.type.sql('redshift')} in "
            f"{pipeline.name}/create/{table}.sql, but the windows are instants: make it a TIMESTAMP"
        )


def _is_instant(column: Column) -> bool:
    return column.type.this in {
        exp.DataType.Type.TIMESTAMP,
        exp.DataType.Type.TIMESTAMPNTZ,
        exp.DataType.Type.TIMESTAMPTZ,
    }


def _check_mistakes(pipeline: Pipeline, tables: Tables, check: Check) -> Iterator[str]:
    where = f"check {check.name!r}: column"
    match check:
        case NotNull() | Unique():
            yield from _unknown(pipeline, tables, where, check.table, check.columns)
        case References():
            yield from _unknown(pipeline, tables, where, check.table, [check.column])
            yield from _unknown(pipeline, tables, where, check.to_table, [check.to_column])
        case AcceptedValues():
            yield from _unknown(pipeline, tables, where, check.table, [check.column])
            yield from _query_mistakes(pipeline, tables, check)
        case Holds():
            yield from _query_mistakes(pipeline, tables, check)
        case Complete():
            pass  # its columns are the window's


def _query_mistakes(pipeline: Pipeline, tables: Tables, check: AcceptedValues | Holds) -> Iterator[str]:
    """Of a check that holds values or SQL of its author's: whether that is one query, of its table's columns."""
    context = CheckContext(pipeline, Window(*DAY), SCHEMA, written={})
    try:
        (query,) = parse_script(Script(render_check(check, context).failing, "its SQL"))
    except WarehouseError as error:
        yield f"check {check.name!r}: {error.message}"
        return
    if isinstance(check, Holds):
        yield from _unknown(
            pipeline, tables, f"check {check.name!r}: column", check.table, _list_columns(query)
        )


def _list_columns(query: exp.Expr) -> list[str]:
    """The columns that a query itself names: a query within it may have other tables."""
    found = [one.name for one in query.find_all(exp.Column) if one.find_ancestor(exp.Select) is query]
    return list(dict.fromkeys(found))
