"""What a SELECT of a template returns, reads and is ordered by, without a warehouse.

sqlglot is imported only where SQL is read (see `dialect`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.sql import Script

if TYPE_CHECKING:
    from sqlglot import exp


def list_columns(script: Script) -> tuple[str, ...]:
    """The names of the columns that the SELECT returns, in order.

    Empty for one without a name, `*` for all columns of a table. Raises WarehouseError where it is not one statement.
    """
    return tuple(name for name, _ in _projections(_parse(script)))


def list_tables(script: Script, *, schema: str) -> tuple[str, ...]:
    """The tables of that schema that the SELECT reads, as it writes them. Raises WarehouseError as `list_columns`."""
    from sqlglot import exp

    found = [one.name for one in _parse(script).find_all(exp.Table) if one.db.lower() == schema.lower()]
    return tuple(dict.fromkeys(found))


def order_by(script: Script) -> str:
    """The SELECT's ORDER BY as one over a table that holds its rows, with a space before it.

    It ends before the first key that is no column of the answer; it is empty where there is no such key.
    Raises WarehouseError as `list_columns`.
    """
    keys = ", ".join(_order_keys(_parse(script)))
    return f" ORDER BY {keys}" if keys else ""


def _parse(script: Script) -> exp.Expr:
    parsed = parse_script(script)
    if len(parsed) != 1:
        raise WarehouseError(f"{script.template} holds {len(parsed)} statements, one SELECT was expected.")
    return parsed[0]


def _order_keys(query: exp.Expr) -> Iterator[str]:
    from sqlglot import exp

    columns = _projections(query)
    order = query.args.get("order")
    for ordered in order.expressions if order else ():
        key = ordered.this
        if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.this) <= len(columns):
            name = columns[int(key.this) - 1][0]
        else:
            name = next((name for name, shown in columns if _is_same(key, name, shown)), "")
        if name in ("", "*"):
            return
        column = exp.column(name.lower(), quoted=True)
        yield exp.Ordered(**{**ordered.args, "this": column}).sql("redshift")


def _is_same(key: exp.Expr, name: str, shown: exp.Expr) -> bool:
    """Whether ORDER BY's key is that column of the answer: by its name, or as it was written."""
    from sqlglot import exp

    by_name = isinstance(key, exp.Column) and not key.table and key.name.lower() == name.lower()
    return by_name or key.sql("redshift").lower() == shown.unalias().sql("redshift").lower()


def _projections(query: exp.Expr) -> list[tuple[str, exp.Expr]]:
    """The columns that a SELECT returns, each with its name; of a UNION, those of its first part."""
    from sqlglot import exp

    found = query.unnest() if isinstance(query, exp.Subquery) else query
    selects = found.selects if isinstance(found, exp.Query) else []
    return [("" if isinstance(one, exp.Literal) else one.output_name, one) for one in selects]
