"""The columns of a table, as its create template `sql_templates/<pipeline>/create/<table>.sql` declares them.

sqlglot is imported only where a template is read (see `dialect`).
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """A column as declared; `identity` where the warehouse numbers its rows, so that COPY gives it no value.

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
    create = _read_create(script, table)

    from sqlglot import exp

    listed = create.this.expressions
    definitions = [found for found in listed if isinstance(found, exp.ColumnDef)]
    if not definitions or any(isinstance(found, exp.Identifier | exp.LikeProperty) for found in listed):
        raise WarehouseError(
            f"{script.template} does not list the columns of {table} with their types, so they cannot be compared with "
            "what is loaded. Write them out: CREATE TABLE name (column type, …)."
        )
    return tuple(_read_column(found) for found in definitions)


def _read_column(found: exp.ColumnDef) -> Column:
    from sqlglot import exp

    numbered = (exp.GeneratedAsIdentityColumnConstraint, exp.AutoIncrementColumnConstraint)
    return Column(
        found.name,
        found.args["kind"],
        identity=found.find(*numbered) is not None,
        not_null=any(not one.args.get("allow_null") for one in found.find_all(exp.NotNullColumnConstraint)),
        has_default=found.find(exp.DefaultColumnConstraint) is not None,
        definition=found.sql("redshift"),
    )


def _read_create(script: Script, table: str) -> exp.Create:
    """The one CREATE TABLE with a list in parentheses, of the table's name whatever its case and schema."""
    from sqlglot import exp

    parsed = parse_script(script)
    creates = [one for one in parsed if isinstance(one, exp.Create) and one.kind == "TABLE"]
    names = [one.this.find(exp.Table).name for one in creates if one.this.find(exp.Table)]
    if [name.lower() for name in names] != [table.lower()] or not isinstance(creates[0].this, exp.Schema):
        raise WarehouseError(
            f"{script.template} was expected to hold one CREATE TABLE of {table}, with its columns in parentheses; it "
            f"creates {', '.join(names) or 'no table'}. Correct the template: the table bears the name of its file."
        )
    return creates[0]
