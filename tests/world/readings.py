"""A small pipeline whose windows are instants: it runs every ten minutes, and loads the readings of meters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_lib.pipeline import (
    Complete,
    Pipeline,
    ReplaceWindow,
    SparkJob,
    Staging,
    Table,
    Window,
    WindowUnit,
)
from tests.world.spark import Days, Inputs, Targets, write_dataset

PIPELINE = Pipeline(
    name="immigration",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    schedule="*/10 * * * *",
    window_unit=WindowUnit.INSTANT,
    jobs=(SparkJob("readings", sources=("arrivals.csv",), windowed=True),),
    tables=(
        Staging("staging_readings", output="readings"),
        Table("readings", ReplaceWindow("read_at")),
    ),
    checks=(Complete("readings", staging="staging_readings"),),
)
MIDNIGHT = datetime(2016, 4, 2, tzinfo=UTC)
# Four runs in a row, about midnight.
WINDOWS = [
    Window(MIDNIGHT + timedelta(minutes=10 * number), MIDNIGHT + timedelta(minutes=10 * (number + 1)))
    for number in range(-2, 2)
]


def readings_of(*windows: Window) -> list[dict[str, Any]]:
    """At the first and at the last moment of each window, and within."""
    moments = [
        moment
        for window in windows
        for moment in (
            window.start,
            window.start + timedelta(minutes=3, seconds=20),
            window.end - timedelta(microseconds=1),
        )
    ]
    return [
        {
            "id": (moment - MIDNIGHT) // timedelta(microseconds=1),
            "read_at": moment.replace(tzinfo=None).isoformat(sep=" "),
        }
        for moment in moments
    ]


def write_readings(inputs: Inputs, targets: Targets, rejected: str, window: Days) -> dict[str, Any]:
    """The stand-in job: it is told its window as two ISO instants, and reads them as any library would."""
    start, end = (datetime.fromisoformat(moment) for moment in window)
    rows = readings_of(Window(start, end))
    write_dataset(targets["readings"], rows)
    return {"read": len(rows), "written": len(rows), "rejected": {}}
