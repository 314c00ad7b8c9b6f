"""The columns of a table, as its create template `sql_templates/<pipeline>/create/<table>.sql` declares them.

sqlglot reads the template in Redshift's dialect. It is imported only where a template is read: DAG files are parsed
often, and must be fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import TemplateSyntaxError

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.sql import ROOT, Script, render

if TYPE_CHECKING:
    from sqlglot import exp

# A staging table lies in its run's own schema, and its template asks for the name; the columns do not depend on it.
_SCHEMA = "staging"


@dataclass(frozen=True)
class Column:
    """A column as declared; `identity` where the warehouse numbers its rows, so that COPY gives it no value."""

    name: str
    type: exp.DataType
    identity: bool = False

    @property
    def type_name(self) -> str:
        """The type in Redshift's words, such as `VARCHAR(8)`."""
        return self.type.sql("redshift")


def columns(pipeline_name: str, table: str, *, root: Path = ROOT) -> tuple[Column, ...]:
    """The columns of the table, in the template's order.

    Raises WarehouseError where the template is missing, does not parse, is not one CREATE TABLE of that table, or
    lists no columns with their types.
    """
    script = _render(f"{pipeline_name}/create/{table}", root)
    create = _parse(script, table)

    from sqlglot import exp

    listed = create.this.expressions
    definitions = [found for found in listed if isinstance(found, exp.ColumnDef)]
    if not definitions or any(isinstance(found, exp.Identifier | exp.LikeProperty) for found in listed):
        raise WarehouseError(
            f"{script.template} does not list the columns of {table} with their types, so they cannot be compared with "
            "what is loaded. Write them out: CREATE TABLE name (column type, …)."
        )
    numbered = (exp.GeneratedAsIdentityColumnConstraint, exp.AutoIncrementColumnConstraint)
    return tuple(
        Column(found.name, found.kind, identity=found.find(*numbered) is not None)
        for found in definitions
        if found.kind is not None
    )


def _render(name: str, root: Path) -> Script:
    try:
        return render(name, root=root, schema=_SCHEMA)
    except TemplateSyntaxError as error:
        raise WarehouseError(
            f"SQL template {name}.sql, line {error.lineno}: {error.message}. Correct the template."
        ) from error


def _parse(script: Script, table: str) -> exp.Create:
    """The one CREATE TABLE with a list in parentheses, of the table's name whatever its case and schema."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        parsed = [one for one in sqlglot.parse(script, read="redshift") if one is not None]
    except SqlglotError as error:
        raise WarehouseError(f"{script.template} is no valid SQL: {_first_error(error)}") from error
    creates = [one for one in parsed if isinstance(one, exp.Create) and one.kind == "TABLE"]
    names = [one.this.find(exp.Table).name for one in creates if one.this.find(exp.Table)]
    if [name.lower() for name in names] != [table.lower()] or not isinstance(creates[0].this, exp.Schema):
        raise WarehouseError(
            f"{script.template} was expected to hold one CREATE TABLE of {table}, with its columns in parentheses; it "
            f"creates {', '.join(names) or 'no table'}. Correct the template: the table bears the name of its file."
        )
    return creates[0]


def _first_error(error: Exception) -> str:
    """What, where, and near which word; sqlglot's own message marks the word with a terminal's control characters."""
    found = getattr(error, "errors", None)
    if not found:
        return f"{str(error).splitlines()[0]}."
    first = found[0]
    return f"line {first['line']}, near {first['highlight']!r}: {first['description']}."
