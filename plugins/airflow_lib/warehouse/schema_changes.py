"""What an edited create template asks of a table that is there already, as in a warehouse restored from a snapshot.

A column that the template has and the table has not is added: that loses nothing, and COPY and the loads name their
columns. Any other difference is a person's to settle, and the error says by which statement (docs/schema-changes.md).
What Redshift has no statement for is not compared: keys, identity, encodings, and whether a column may be null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_lib.errors import StatementRefused
from airflow_lib.warehouse.connection import Cursor
from airflow_lib.warehouse.create_template import Column, columns
from airflow_lib.warehouse.cursor import fetch_rows, run_script
from airflow_lib.warehouse.dialect import parse_type
from airflow_lib.warehouse.sql import ROOT, render

if TYPE_CHECKING:
    from sqlglot import exp

# What a type without a size is: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html,
# https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html
_SIZES = {
    "VARCHAR": "VARCHAR(256)",
    "VARCHAR(MAX)": "VARCHAR(65535)",
    "CHAR": "CHAR(1)",
    "BPCHAR": "CHAR(256)",
    "DECIMAL": "DECIMAL(18, 0)",
}
_VARCHAR = re.compile(r"VARCHAR\((\d+)\)\Z")


@dataclass(frozen=True)
class TableColumn:
    """A column as the warehouse's catalogue has it, such as `character varying(8)`."""

    name: str
    type: str
    not_null: bool = False


def ensure_columns(cursor: Cursor, templates: Mapping[str, str], *, root: Path = ROOT) -> list[str]:
    """Add to each table the columns that its create template has and it has not; those added, as `table.column`.

    `templates` says below which folder of the root each table's `create/` is. Raises StatementRefused that names every
    difference that is not added, with what to run by hand; WarehouseError where a template does not tell its columns.
    """
    script = render("shared/list_columns", root=root, tables=[name.lower() for name in templates])
    there: dict[str, list[TableColumn]] = {}
    for table, name, kind, not_null in fetch_rows(cursor, script):
        there.setdefault(table, []).append(TableColumn(name, kind, bool(not_null)))
    added: list[str] = []
    refused: list[str] = []
    for table, folder in templates.items():
        if found := there.get(table.lower()):
            changes = compare(table, columns(folder, table, root=root), found)
            refused += changes.refused
            for column in changes.additions:
                run_script(
                    cursor, render("shared/add_column", root=root, table=table, definition=column.definition)
                )
                added.append(f"{table}.{column.name}")
    if refused:
        told = "\n".join(f"- {one}" for one in refused)
        raise StatementRefused(
            "The warehouse's tables are not those of the create templates, and what differs cannot be changed without "
            f"a person's decision:\n{told}\nNothing was changed. Take the templates back, run the statements in the "
            "warehouse while a run keeps it, and deploy the templates after that (docs/schema-changes.md)."
        )
    return added


@dataclass(frozen=True)
class Changes:
    """The columns to add, and what is left to a person, in words."""

    additions: tuple[Column, ...]
    refused: tuple[str, ...]


def compare(table: str, declared: Sequence[Column], there: Sequence[TableColumn]) -> Changes:
    """What it takes to make the table, which has the columns `there`, what its template declares."""
    has = {column.name.lower(): column for column in there}
    wants = {column.name.lower(): column for column in declared}
    missing = [column for name, column in wants.items() if name not in has]
    surplus = [column for name, column in has.items() if name not in wants]
    refused = [
        _say_type(table, column, has[name])
        for name, column in wants.items()
        if name in has and not column.identity and _normal(column.type) != _parsed(has[name].type)
    ]
    if missing and surplus:
        refused.append(_say_renamed(table, missing, surplus))
        return Changes((), tuple(refused))
    refused += [_say_needed(table, column) for column in surplus if column.not_null]
    for column in missing:
        if column.identity or (column.not_null and not column.has_default):
            refused.append(_say_not_addable(table, column))
    return Changes(() if refused else tuple(missing), tuple(refused))


def _parsed(kind: str) -> str:
    """A type of the catalogue in the words of a template; as it stands where that is not known."""
    parsed = parse_type(kind)
    return kind if parsed is None else _normal(parsed)


def _normal(kind: exp.DataType) -> str:
    """The type in Redshift's words, with its size also where that is the default."""
    if kind.this.name == "TEXT":  # sqlglot takes it for VARCHAR(MAX)
        return _SIZES["VARCHAR"]
    sized = re.sub(r"^DECIMAL\((\d+)\)$", r"DECIMAL(\1, 0)", kind.sql("redshift"))
    return _SIZES.get(sized, sized)


def _say_type(table: str, column: Column, there: TableColumn) -> str:
    new, old = _VARCHAR.match(_normal(column.type)), _VARCHAR.match(_parsed(there.type))
    name, kind = column.name, column.type_name
    if new and old and int(new[1]) > int(old[1]):
        # Not by us: it cannot be part of a transaction, https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
        by_hand = f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind};"
    else:
        by_hand = " ".join(
            (
                f"ALTER TABLE {table} ADD COLUMN {name}_new {kind};",
                f"UPDATE {table} SET {name}_new = CAST({name} AS {kind});",  # noqa: S608  for a person to read
                f"ALTER TABLE {table} DROP COLUMN {name};",
                f"ALTER TABLE {table} RENAME COLUMN {name}_new TO {name};",
            )
        )
    return f"{table}.{name} is {there.type}, its template says {kind}: {by_hand}"


def _say_renamed(table: str, missing: Sequence[Column], surplus: Sequence[TableColumn]) -> str:
    """A new column beside one that is gone may be that one under another name; added, it would be empty."""
    lacks = ", ".join(column.name for column in missing)
    has = ", ".join(column.name for column in surplus)
    old, new = surplus[0].name, missing[0].name
    return (
        f"{table} lacks {lacks}, and has {has}, which its template has not. Where one was renamed: "
        f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}; else: ALTER TABLE {table} DROP COLUMN {old};"
    )


def _say_needed(table: str, column: TableColumn) -> str:
    return (
        f"{table}.{column.name} may not be null, and its template has no such column, so no load could fill it: "
        f"ALTER TABLE {table} DROP COLUMN {column.name};"
    )


def _say_not_addable(table: str, column: Column) -> str:
    why = "is numbered by the warehouse" if column.identity else "may not be null and has no default"
    return (
        f"{table} lacks {column.name}, which {why}, so a table with rows cannot get it. Declare it with a DEFAULT, or "
        f"let it be null; or have the table made anew, and load all its windows again: DROP TABLE {table};"
    )
