"""How rows get into each table: the statements of a load, by the word that the table is declared with.

What a table is made of is its SELECT; the rest is in `sql_templates/shared/load/`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_lib.pipeline import Append, Newest, Pipeline, Rebuild, ReplaceWindow, Table
from airflow_lib.warehouse.create_template import own_columns
from airflow_lib.warehouse.load_order import order_loads, order_prunes, references_to
from airflow_lib.warehouse.sql import Script, render, statements


@dataclass(frozen=True)
class TableLoads:
    """The statements that load a pipeline's tables; `values` are those that a run's templates are rendered with."""

    pipeline: Pipeline
    values: Mapping[str, Any]
    root: Path

    def list_changes(self, leave: Collection[str]) -> Iterator[Script]:
        """What changes the tables, in order; those that `leave` names get no rows. Raises WarehouseError."""
        for table in order_loads(self.pipeline, root=self.root):
            if table.name not in leave:
                yield from self._list_loads(table)
        for table in order_prunes(self.pipeline):
            yield self._prune(table)

    def _list_loads(self, table: Table) -> Iterator[Script]:
        columns = own_columns(self.pipeline.name, table.name, root=self.root)
        values: dict[str, Any] = {"table": table.name, "columns": columns, "key": table.key}
        match table.load:
            case ReplaceWindow(column=column):
                yield self._insert_select("incoming", **values)
                if table.key:
                    yield self._render("delete_elsewhere", column=column, **values)
                yield self._render("replace_window", column=column, **values)
                yield self._render("drop_incoming")
            case Newest(by=by):
                yield self._insert_select("incoming", **values)
                yield self._render("newest", ranking=_rank(columns, by), **values)
                yield self._render("drop_incoming")
            case Rebuild():
                yield self._insert_select("rebuild", **values)
            case Append():
                yield self._insert_select("append", **values)

    def _prune(self, table: Table) -> Script:
        referring = [
            self._render(
                "referring",
                table=table.name,
                from_table=check.table,
                column=check.column,
                to_column=check.to_column,
            )
            for check in references_to(self.pipeline, table)
        ]
        return self._render("prune", table=table.name, referring=[statements(one)[0] for one in referring])

    def _insert_select(self, template: str, *, table: str, **values: Any) -> Script:
        """Where it fails, its author's file is the one to look at."""
        own = render(f"{self.pipeline.name}/load/{table}", root=self.root, **self.values)
        (select,) = statements(own)
        return Script(self._render(template, table=table, select=select, **values), own.template)

    def _render(self, template: str, **values: Any) -> Script:
        return render(f"shared/load/{template}", root=self.root, **self.values, **values)


def _rank(columns: Collection[str], by: str) -> tuple[str, ...]:
    """The columns by which rows of one key compete; without `by`, those that came in go first."""
    first = by or "mayfly_came_in"
    return (first, *(column for column in columns if column.lower() != first.lower()))
