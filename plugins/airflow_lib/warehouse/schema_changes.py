"""What became of a table's columns since it was created: the create templates compared with the warehouse.

A warehouse is restored from its snapshot with the tables as they were, and `CREATE TABLE IF NOT EXISTS` leaves them so.
Columns that a template has and the table lacks are added; what cannot be done without risk is refused, with the
statement to run by hand. Distribution and sort keys are left alone. docs/schema-changes.md tells people of it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.connection import Connection, Cursor, transact
from airflow_lib.warehouse.create_template import Column, tables_created
from airflow_lib.warehouse.cursor import fetch_rows, run_script
from airflow_lib.warehouse.sql import ROOT, Script, render

logger = logging.getLogger(__name__)

# What a type is without its size: https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html
_DEFAULTS = {
    "VARCHAR": "VARCHAR(256)",
    "VARCHAR(MAX)": "VARCHAR(65535)",
    "CHAR": "CHAR(1)",
    "BPCHAR": "CHAR(256)",
    "DECIMAL": "DECIMAL(18, 0)",
}


@dataclass(frozen=True)
class Found:
    """A column as the warehouse has it; `type` in its own words."""

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True)
class Addition:
    """A column to be added to a table that lacks it."""

    table: str
    column: Column


def adapt_tables(conn: Connection, creates: Collection[Script], *, root: Path = ROOT) -> list[str]:
    """Add the columns that the create scripts have and their tables lack; the columns added, as `table.column`.

    The tables must exist. Raises WarehouseError that lists every difference that people must settle, with what to run.
    """
    declared = {name: columns for script in creates for name, columns in tables_created(script).items()}

    def look(cursor: Cursor) -> list[Addition]:
        return _compare(declared, _read_columns(cursor, declared, root))

    additions = transact(conn, look, what="Comparing the tables with their templates")
    if additions:
        # Loads and others that add columns wait for one another; a column that another added meanwhile is no addition.
        def add(cursor: Cursor) -> list[Addition]:
            run_script(cursor, render("shared/lock_loads", root=root))
            added = look(cursor)
            for one in added:
                run_script(cursor, _render_addition(one, root))
            return added

        additions = transact(conn, add, what="Adding columns")
    names = [f"{one.table}.{one.column.name}" for one in additions]
    for name in names:
        logger.info("Warehouse: column %s was added; rows that were there have its default, or null", name)
    return names


def differences(table: str, declared: Iterable[Column], found: Iterable[Found]) -> Iterator[Addition | str]:
    """What the table lacks, and as text each difference that is not settled by adding a column."""
    there = {one.name.lower(): one for one in found}
    wanted = {column.name.lower(): column for column in declared}
    missing = [column for name, column in wanted.items() if name not in there]
    more = [one for name, one in there.items() if name not in wanted]
    for name, column in wanted.items():
        if name in there:
            yield from _differs(table, column, there[name])
    renamed: set[str] = set()
    for column in missing:
        old = next((one for one in more if _same_type(one, column) and one.name not in renamed), None)
        if old is not None:
            renamed.add(old.name)
            yield _tell_renamed(table, old, column)
        else:
            yield _add(table, column)
    for one in more:
        if one.name in renamed:
            continue
        if one.not_null:
            yield (
                f"{table}.{one.name} is NOT NULL in the table and not in the template, so loads, which give it no "
                f"value, would fail: run ALTER TABLE {table} DROP COLUMN {one.name}; or put it back into the template"
            )
        else:
            logger.warning(
                "Table %s has a column %s that its template has not: it stays, and new rows have null in it. To drop "
                "it, run ALTER TABLE %s DROP COLUMN %s;",
                *(table, one.name, table, one.name),
            )


def _compare(declared: Mapping[str, Collection[Column]], found: Mapping[str, list[Found]]) -> list[Addition]:
    told = [
        one
        for table, columns in declared.items()
        if table.lower() in found
        for one in differences(table, columns, found[table.lower()])
    ]
    refused = [one for one in told if isinstance(one, str)]
    if refused:
        listed = "\n".join(f"- {one}" for one in refused)
        raise WarehouseError(
            "The warehouse's tables are not as their create templates say, in what is not changed without you:\n"
            f"{listed}\nConnect to the warehouse while it is up, run the statements, and clear the task "
            "(docs/schema-changes.md). Nothing was changed."
        )
    return [one for one in told if isinstance(one, Addition)]


def _differs(table: str, column: Column, found: Found) -> Iterator[str]:
    if not _same_type(found, column):
        yield (
            f"{table}.{column.name} is {_normalise(found.type)} in the table and {_normalise(column.type_name)} in the "
            f"template: {_advise_type(table, column, found)}"
        )
    elif found.not_null != column.not_null and not column.identity:
        in_table, in_template = ("NOT NULL", "nullable") if found.not_null else ("nullable", "NOT NULL")
        yield (
            f"{table}.{column.name} is {in_table} in the table and {in_template} in the template, and Redshift changes "
            f"neither: {_advise_anew(table)}; or correct the template"
        )


def _advise_type(table: str, column: Column, found: Found) -> str:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html: only a VARCHAR changes its size."""
    old, new = _normalise(found.type), _normalise(column.type_name)
    if old.startswith("VARCHAR(") and new.startswith("VARCHAR("):
        return f"run ALTER TABLE {table} ALTER COLUMN {column.name} TYPE {new}; outside a transaction"
    copy = f"{column.name}_new"
    steps = [
        f"ALTER TABLE {table} ADD COLUMN {copy} {new};",
        f"UPDATE {table} SET {copy} = CAST({column.name} AS {new});",  # noqa: S608  for people to run
        f"ALTER TABLE {table} DROP COLUMN {column.name};",
        f"ALTER TABLE {table} RENAME COLUMN {copy} TO {column.name};",
    ]
    return f"run {' '.join(steps)}"


def _advise_anew(table: str) -> str:
    return (
        f"run ALTER TABLE {table} RENAME TO {table}_old; and clear the task, which creates the table anew; then copy "
        f"the rows by INSERT INTO {table}, and DROP TABLE {table}_old;"
    )


def _tell_renamed(table: str, old: Found, new: Column) -> str:
    return (
        f"{table} has a column {old.name} where the template has {new.name}, of the same type: if it has a new name, "
        f"run ALTER TABLE {table} RENAME COLUMN {old.name} TO {new.name}; if they are two, run ALTER TABLE {table} "
        f"DROP COLUMN {old.name}; or put {old.name} back into the template"
    )


def _add(table: str, column: Column) -> Addition | str:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html: NOT NULL needs a default; no identity."""
    if column.identity:
        return (
            f"{table}.{column.name} is an identity, which cannot be added to a table: {_advise_anew(table)}"
        )
    if column.not_null and not column.fills:
        return (
            f"{table}.{column.name} is NOT NULL, and rows that are there would have no value in it: give it a DEFAULT "
            f"in the template, or leave NOT NULL out; or run ALTER TABLE {table} ADD COLUMN {column.name} "
            f"{column.type_name} NOT NULL DEFAULT <value>;"
        )
    return Addition(table, column)


def _same_type(found: Found, column: Column) -> bool:
    return _normalise(found.type) == _normalise(column.type_name)


def _normalise(kind: str) -> str:
    """The type in one form, whether it is the template's or the catalogue's: `character varying(8)` is VARCHAR(8)."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        plain = exp.DataType.build(kind, dialect="redshift").sql("redshift")
    except SqlglotError:
        plain = kind.upper()
    if plain.startswith("DECIMAL(") and "," not in plain:
        plain = plain.replace(")", ", 0)")
    return _DEFAULTS.get(plain, plain)


def _read_columns(cursor: Cursor, declared: Collection[str], root: Path) -> dict[str, list[Found]]:
    tables = sorted(name.lower() for name in declared)
    found: dict[str, list[Found]] = {}
    for table, name, kind, not_null in fetch_rows(
        cursor, render("shared/list_columns", root=root, tables=tables)
    ):
        found.setdefault(str(table), []).append(Found(str(name), str(kind), bool(not_null)))
    return found


def _render_addition(one: Addition, root: Path) -> Script:
    return render(
        "shared/add_column",
        root=root,
        table=one.table,
        column=one.column.name,
        definition=one.column.definition,
    )
