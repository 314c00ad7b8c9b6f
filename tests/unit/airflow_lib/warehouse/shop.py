"""The pipeline that the warehouse's tests load and check."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from airflow_lib.pipeline import Answer, Dimension, Fact, Pipeline, SparkJob, Staging, Window
from airflow_lib.warehouse.sql import ROOT

APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))
SCHEMA = "staging_0123456789ab"
SHOP = Pipeline(
    name="shop",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(SparkJob("sales", sources=("sales.csv",), windowed=True),),
    tables=(
        Staging("staging_sales", output="sales"),
        Dimension("dimItem", key="item"),
        Dimension("dimDay", key="day"),
        Fact("factSale", key="sale", window_column="day"),
    ),
    answers=(Answer("best"),),
)


def write_templates(folder: Path) -> Path:
    """The shared templates as they are, and the shop's own, each a statement that names its file."""
    (folder / "shared").symlink_to(ROOT / "shared")
    for step, names in {
        "create": ["staging_sales", "dimItem", "dimDay", "factSale"],
        "load": ["dimItem", "dimDay", "factSale"],
        "prune": ["dimItem", "dimDay"],
        "answers": ["best"],
    }.items():
        own = folder / "shop" / step
        own.mkdir(parents=True)
        for name in names:
            (own / f"{name}.sql").write_text(f"SELECT '{step} {name}';\n")
    return folder


def first_lines(log: list[str]) -> list[str]:
    return [statement.split("\n")[0] for statement in log]
