"""The pipeline that the warehouse's tests load and check."""

from __future__ import annotations

from datetime import UTC, date, datetime

from airflow_lib.pipeline import Dimension, Fact, Pipeline, SparkJob, Staging, Window

APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))
SCHEMA = "staging_0123456789ab"
SHOP = Pipeline(
    name="shop",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(SparkJob("sales", sources=("sales.csv",), windowed=True),),
    tables=(
        Staging("staging_sales", job="sales"),
        Dimension("dimItem", key="item"),
        Dimension("dimDay", key="day"),
        Fact("factSale", key="sale", window_column="day"),
    ),
    answers=("best",),
)
