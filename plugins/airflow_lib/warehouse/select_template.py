"""What is loaded into a table: the one SELECT of its template `sql_templates/<pipeline>/load/<table>.sql`.

It is read here for its columns, which are the table's by name, and for the tables that it reads (`load_order`).
sqlglot is imported only where a template is read (see `dialect`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_lib.bounded_json import as_text
from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import Pipeline, Table, WindowUnit
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.sql import ROOT, Script, render

if TYPE_CHECKING:
    from sqlglot import exp

# In place of a run's own.
SCHEMA = "staging_000000000000"
DAY = (date(2000, 1, 1), date(2000, 1, 2))
INSTANT = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, 1, tzinfo=UTC))

_EXPECTED = "one SELECT"


@dataclass(frozen=True)
class Select:
    """`columns` are its columns' names in order, empty for one without a name of its own; `*` for all of a table.

    `tables` are those that it reads, in lower case, and `staging` those of them in the run's staging schema.
    """

    columns: tuple[str, ...]
    tables: frozenset[str]
    staging: frozenset[str]


def read_select(pipeline: Pipeline, table: Table, *, root: Path = ROOT) -> Select:
    """The table's SELECT. Raises WarehouseError where the template is missing, or is not one SELECT."""
    script = render(f"{pipeline.name}/load/{table.name}", root=root, **load_values(pipeline))
    return _read(str(script), script.template)


def load_values(pipeline: Pipeline) -> dict[str, Any]:
    """Values such as those that a run's load templates are rendered with."""
    start, end = INSTANT if pipeline.window_unit is WindowUnit.INSTANT else DAY
    return {"schema": SCHEMA, "window_start": start, "window_end": end}


def parse_query(script: Script) -> exp.Query:
    """The one SELECT that the script is. Raises WarehouseError where it is none."""
    from sqlglot import exp

    parsed = parse_script(script)
    if len(parsed) != 1:
        raise WarehouseError(f"{script.template} holds {len(parsed)} statements, but {_EXPECTED} is expected")
    (query,) = parsed
    if not isinstance(query, exp.Query) or query.find(exp.Into):
        begins = as_text(query.sql("redshift"), 40)
        raise WarehouseError(f"{script.template}: {begins!r} is out of place: {_EXPECTED} is expected")
    return query


@lru_cache(maxsize=256)
def _read(sql: str, template: str) -> Select:
    query = parse_query(Script(sql, template))
    known = list(_list_tables(query, template))
    return Select(
        tuple(_name_column(column) for column in query.selects),
        frozenset(one.name.lower() for one in known if not one.db),
        frozenset(one.name.lower() for one in known if one.db == SCHEMA),
    )


def _list_tables(query: exp.Query, template: str) -> Iterator[exp.Table]:
    """The tables that the query reads, wherever in it; a name that WITH gives is none."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.scope import traverse_scope

    try:
        sources = [source for scope in traverse_scope(query) for source in scope.sources.values()]
    except SqlglotError as error:
        raise WarehouseError(f"{template}: {error}. Give each table of the SELECT its own alias.") from error
    return (source for source in sources if isinstance(source, exp.Table))


def _name_column(column: exp.Expr) -> str:
    """The name that the column surely has: of an expression without AS, databases make up different ones."""
    from sqlglot import exp

    if column.is_star:
        return "*"
    return column.alias_or_name if isinstance(column, exp.Alias | exp.Column) else ""
