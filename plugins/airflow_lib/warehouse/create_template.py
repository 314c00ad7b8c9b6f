"""The columns of a table as its `create/` template declares them (draft, replaced by the parquet part)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlglot import exp

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.sql import ROOT, render


@dataclass(frozen=True)
class Column:
    name: str
    type: exp.DataType


def columns(pipeline_name: str, table: str, *, root: Path = ROOT) -> tuple[Column, ...]:
    script = render(f"{pipeline_name}/create/{table}", root=root, schema="staging_000000000000")
    parsed = parse_script(script)
    if (
        len(parsed) != 1
        or not isinstance(parsed[0], exp.Create)
        or not isinstance(parsed[0].this, exp.Schema)
    ):
        raise WarehouseError(f"{script.template} is no CREATE TABLE with columns")
    made = parsed[0].this
    if made.this.name.lower() != table.lower():
        raise WarehouseError(
            f"{script.template} creates table {made.this.name!r}, but {table!r} was expected"
        )
    return tuple(
        Column(one.name, one.kind or exp.DataType())
        for one in made.expressions
        if isinstance(one, exp.ColumnDef)
    )
