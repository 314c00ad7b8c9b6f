"""The columns of a table, as its create template `sql_templates/<pipeline>/create/<table>.sql` declares them.

sqlglot is imported only where a template is read (see `dialect`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.sql import ROOT, Script, render

if TYPE_CHECKING:
    from sqlglot import exp

# A staging table lies in its run's own schema, and its template asks for the name; the columns do not depend on it.
_SCHEMA = "staging"


@dataclass(frozen=True)
class Column:
    """A column as declared; `identity` where the warehouse numbers its rows, so that no load gives it a value.

    `definition` is all that the template says of it, as in `code VARCHAR(8) DEFAULT 'x' NOT NULL`.
    """

    name: str
    type: exp.DataType
    identity: bool = False
    not_null: bool = False
    has_default: bool = False
    definition: str = ""

    @property
    def type_name(self) -> str:
        """The type in Redshift's words, such as `VARCHAR(8)`."""
        return self.type.sql("redshift")


def columns(pipeline_name: str, table: str, *, root: Path = ROOT) -> tuple[Column, ...]:
    """The columns of the table, in the template's order.

    Raises WarehouseError where the template is missing, does not parse, is not one CREATE TABLE of that table, or
    lists no columns with their types.
    """
    script = render(f"{pipeline_name}/create/{table}", root=root, schema=_SCHEMA)
    found = _read_tables(str(script), script.template)
    names = [name for name, _ in found]
    if [name.lower() for name in names] != [table.lower()]:
        raise WarehouseError(
            f"{script.template} was expected to hold one CREATE TABLE of {table}, with its columns in parentheses; it "
            f"creates {', '.join(names) or 'no table'}. Correct the template: the table bears the name of its file."
        )
    ((_, listed),) = found
    return listed


def own_columns(pipeline_name: str, table: str, *, root: Path = ROOT) -> tuple[str, ...]:
    """The names of the columns that a load fills: all but the identity. Raises WarehouseError as `columns`."""
    return tuple(one.name for one in columns(pipeline_name, table, root=root) if not one.identity)


@lru_cache(maxsize=256)
def _read_tables(sql: str, template: str) -> tuple[tuple[str, tuple[Column, ...]], ...]:
    from sqlglot import exp

    parsed = parse_script(Script(sql, template))
    creates = [one for one in parsed if isinstance(one, exp.Create) and one.kind == "TABLE"]
    return tuple(
        (one.this.find(exp.Table).name, _read_columns(one.this, template))
        for one in creates
        if one.this.find(exp.Table)
    )


def _read_columns(schema: exp.Expr, template: str) -> tuple[Column, ...]:
    from sqlglot import exp

    listed = schema.expressions if isinstance(schema, exp.Schema) else []
    definitions = [found for found in listed if isinstance(found, exp.ColumnDef)]
    if not definitions or any(isinstance(found, exp.Identifier | exp.LikeProperty) for found in listed):
        raise WarehouseError(
            f"{template} does not list the columns of {schema.find(exp.Table)} with their types, so they cannot be "
            "compared with what is loaded. Write the statement with its columns in parentheses: CREATE TABLE name "
            "(column type, …)."
        )
    keys = {
        column.name.lower()
        for found in listed
        if isinstance(found, exp.PrimaryKey)
        for column in found.find_all(exp.Identifier)
    }
    return tuple(_read_column(found, found.kind, keys) for found in definitions if found.kind is not None)


def _read_column(found: exp.ColumnDef, kind: exp.DataType, keys: Collection[str]) -> Column:
    """`keys` are the columns of a primary key, which are never null."""
    from sqlglot import exp

    numbered = (exp.GeneratedAsIdentityColumnConstraint, exp.AutoIncrementColumnConstraint)
    kinds = [one.kind for one in found.constraints]
    nulls = [one for one in kinds if isinstance(one, exp.NotNullColumnConstraint)]
    forbids = any(not one.args.get("allow_null") for one in nulls)
    is_key = found.name.lower() in keys or any(
        isinstance(one, exp.PrimaryKeyColumnConstraint) for one in kinds
    )
    # sqlglot takes TEXT for a VARCHAR of any length: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
    if kind.this is exp.DataType.Type.TEXT:
        kind = exp.DataType.build("VARCHAR(256)", dialect="redshift")
    # What ADD COLUMN takes: https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
    addable = (exp.DefaultColumnConstraint, exp.NotNullColumnConstraint, exp.EncodeColumnConstraint)
    more = [one.sql("redshift") for one in found.constraints if isinstance(one.kind, addable)]
    return Column(
        found.name,
        kind,
        identity=found.find(*numbered) is not None,
        not_null=forbids or is_key,
        has_default=any(isinstance(one, exp.DefaultColumnConstraint) for one in kinds),
        definition=" ".join([found.name, kind.sql("redshift"), *more]),
    )
