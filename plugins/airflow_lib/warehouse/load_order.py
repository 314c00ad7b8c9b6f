"""In which order tables are loaded and pruned: a table after those that it is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import Pipeline, References, Table
from airflow_lib.warehouse.select_template import read_select
from airflow_lib.warehouse.sql import ROOT

# By the name of a table, in lower case, the tables that it reads or references.
Edges = Mapping[str, Collection[str]]


def order_loads(pipeline: Pipeline, *, root: Path = ROOT) -> tuple[Table, ...]:
    """The tables in the order they are loaded. Raises WarehouseError where a SELECT cannot be read, or of a circle."""
    reads = {
        table.name.lower(): read_select(pipeline, table, root=root).tables
        for table in pipeline.warehouse_tables
    }
    return sort_loads(pipeline.warehouse_tables, reads, references_of(pipeline))


def sort_loads(tables: Iterable[Table], reads: Edges, references: Edges) -> tuple[Table, ...]:
    """Each table after those that its SELECT reads, and otherwise after those it references.

    Of those that may come next, the first declared; so it is among tables that reference each other in a circle. Raises
    WarehouseError where SELECTs read tables in a circle.
    """
    left = {table.name.lower(): table for table in tables}
    # A table that is read for the one it references comes after that, whatever is referenced.
    kept = {
        name: {other for other in references.get(name, ()) if name not in _list_read(other, reads)} - {name}
        for name in left
    }
    done: list[Table] = []
    while left:
        ready = [name for name in left if not left.keys() & set(reads.get(name, ()))]
        if not ready:
            raise WarehouseError(_describe_circle(left, reads))
        best = next((name for name in ready if not left.keys() & kept[name]), ready[0])
        done.append(left.pop(best))
    return tuple(done)


def order_prunes(pipeline: Pipeline) -> tuple[Table, ...]:
    """The tables to prune, each after those that reference it: their rows may go, and with them the last reference."""
    pruned = [one for one in pipeline.warehouse_tables if one.prune and references_to(pipeline, one)]
    return tuple(reversed(sort_loads(pruned, {}, references_of(pipeline))))


def references_of(pipeline: Pipeline) -> dict[str, set[str]]:
    """Of each table of the warehouse, the others that it references, by the checks."""
    found: dict[str, set[str]] = {}
    for check in references_to(pipeline):
        found.setdefault(check.table.lower(), set()).add(check.to_table.lower())
    return found


def references_to(pipeline: Pipeline, table: Table | None = None) -> tuple[References, ...]:
    """The References of tables of the warehouse, to this table. Those of staging tell of one run alone."""
    kept = {one.name for one in pipeline.warehouse_tables}
    return tuple(
        check
        for check in pipeline.checks
        if isinstance(check, References) and check.table in kept
        if table is None or check.to_table == table.name
    )


def _list_read(name: str, reads: Edges) -> set[str]:
    """What the table's SELECT reads, and what is read for that."""
    found: set[str] = set()
    new = [name]
    while new:
        fresh = set(reads.get(new.pop(), ())) - found
        found |= fresh
        new += fresh
    return found


def _describe_circle(left: Mapping[str, Table], reads: Edges) -> str:
    for name, table in left.items():
        if name in reads.get(name, ()):
            return (
                f"table {table.name!r}: its SELECT reads the table itself, so that each load would give something "
                "else: let it read staging, or other tables"
            )
    circle = [next(iter(left))]
    while circle[-1] not in circle[:-1]:
        circle.append(next(other for other in reads[circle[-1]] if other in left))
    named = [left[name].name for name in circle[circle.index(circle[-1]) :]]
    return (
        f"tables {' -> '.join(named)}: each one's SELECT reads the next, so none can be loaded first: let one of them "
        "read staging instead"
    )
