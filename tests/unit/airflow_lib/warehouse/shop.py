"""The pipeline that the warehouse's tests load and check."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from airflow_lib.pipeline import (
    Answer,
    Newest,
    Pipeline,
    Rebuild,
    ReplaceWindow,
    SparkJob,
    Staging,
    Table,
    Window,
)
from airflow_lib.warehouse.sql import ROOT

APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))
SCHEMA = "staging_0123456789ab"
SHOP = Pipeline(
    name="shop",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(SparkJob("sales", sources=("sales.csv",), windowed=True),),
    tables=(
        Staging("staging_sales", output="sales"),
        Table("dimItem", Newest(), key=("item",)),
        Table("dimDay", Rebuild(), key=("day",)),
        Table("factSale", ReplaceWindow("day")),
    ),
    answers=(Answer("best"),),
)


_COLUMNS = {
    "staging_sales": "sale INT, day DATE, item INT, price INT",
    "dimItem": "item INT NOT NULL, price INT",
    "dimDay": "number BIGINT IDENTITY(1, 1), day DATE NOT NULL",
    "factSale": "sale INT, day DATE NOT NULL, item INT",
}
_SELECTED = {"dimItem": "item, price", "dimDay": "day", "factSale": "sale, day, item"}


def write_templates(folder: Path) -> Path:
    """The shared templates as they are, and the shop's own; each SELECT names its file."""
    (folder / "shared").symlink_to(ROOT / "shared")
    files = {"answers/best": "SELECT 'answers best';\n"}
    for name, columns in _COLUMNS.items():
        table = f"{{{{ schema | ident }}}}.{name}" if name == "staging_sales" else f"IF NOT EXISTS {name}"
        files[f"create/{name}"] = f"CREATE TABLE {table} ({columns});\n"
    for name, columns in _SELECTED.items():
        staging = "{{ schema | ident }}.staging_sales"
        files[f"load/{name}"] = f"SELECT {columns} FROM {staging} WHERE 'load {name}' <> '';\n"
    for name, text in files.items():
        own = folder / "shop" / f"{name}.sql"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(text)
    return folder


def first_lines(log: list[str]) -> list[str]:
    return [statement.split("\n")[0] for statement in log]
