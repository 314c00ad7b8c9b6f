"""What the bench of a backfill counts: a driver for each output that is not there yet, by the library's addresses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airflow_lib.spark.batch import ResolvedSources
from bench import backfill
from bench.__main__ import MEASURES

SOURCES = ResolvedSources((("s3://lake/a",),), ())
ARRIVALS = backfill.load_pipeline().job("arrivals")


def spend(job, windows):
    return backfill.spend(job, SOURCES, windows, lambda address: (2.0, Path(address)))


def test_a_backfill_by_day_computes_the_arrivals_once_as_one_run_over_the_month_does() -> None:
    daily, whole = spend(ARRIVALS, backfill.EACH_DAY), spend(ARRIVALS, [backfill.MONTH])
    assert len(backfill.EACH_DAY) == 30
    assert (daily.drivers, daily.cpu_s) == (whole.drivers, whole.cpu_s) == (1, 2.0)
    assert set(daily.folders) == set(whole.folders)


def test_a_job_whose_output_depends_on_the_window_is_counted_for_each_run() -> None:
    windowed = replace(ARRIVALS, windowed=True, partitioned_by=None)
    daily = spend(windowed, backfill.EACH_DAY)
    assert (daily.drivers, daily.cpu_s) == (30, 60.0)


def test_the_bench_is_called_by_name() -> None:
    assert "backfill" in MEASURES
