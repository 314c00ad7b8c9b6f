"""Compares the Spark CPU of a backfill, a run for each day of a month, with that of one run over the whole month.

Which runs compute the arrivals and which take what is there already, the library's own addresses say: a run computes an
output whose address has none yet. Each computation is a driver of its own, as it is a Livy session of its own.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq

from airflow_lib.aws.s3 import ListedObject
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.pipeline import Pipeline, SparkJob, Window
from airflow_lib.spark.batch import ResolvedSources
from airflow_lib.spark.outputs import address_output
from airflow_lib.spark.shipping import hash_code
from bench.measuring import ROOT, run_module
from sandbox.data.immigration import DAYS, generate

FIRST_DAY = date(2016, 4, 1)
MONTH = Window(FIRST_DAY, FIRST_DAY + timedelta(days=DAYS))
EACH_DAY = [
    Window(FIRST_DAY + timedelta(days=number), FIRST_DAY + timedelta(days=number + 1))
    for number in range(DAYS)
]


@dataclass(frozen=True)
class Spent:
    """CPU seconds of the drivers that some runs started, and where their output lies, by run."""

    cpu_s: float
    drivers: int
    folders: tuple[Path, ...]


def measure(rows: int) -> dict[str, Any]:
    """The figures for `rows` generated arrivals. Raises SystemExit where a day's rows are not in the backfill."""
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        folder = Path(scratch)
        generate(folder / "source", rows=rows)
        job = load_pipeline().job("arrivals")
        sources = _resolve(folder / "source")
        whole = spend(
            job, sources, [MONTH], lambda name: _compute(folder / "source", folder / "whole" / name)
        )
        daily = spend(
            job, sources, EACH_DAY, lambda name: _compute(folder / "source", folder / "daily" / name)
        )
        loaded = [
            _count_rows(of_day / f"day={window.start}")
            for of_day, window in zip(daily.folders, EACH_DAY, strict=True)
        ]
        expected = _count_rows(whole.folders[0])
    if sum(loaded) != expected or not all(loaded):
        raise SystemExit(f"The days of the backfill have {loaded} rows, and the whole month has {expected}.")
    return {
        "rows": rows,
        "runs": len(EACH_DAY),
        "drivers_of_backfill": daily.drivers,
        "backfill_cpu_s": round(daily.cpu_s, 1),
        "whole_window_cpu_s": round(whole.cpu_s, 1),
        "cpu_ratio": round(daily.cpu_s / whole.cpu_s, 2),
    }


def load_pipeline() -> Pipeline:
    """The declaration of the immigration pipeline, without the DAG that its file makes of it."""
    without_airflow = ModuleType("subdags")
    without_airflow.build_dag = lambda *pipelines, **_: None  # type: ignore[attr-defined]
    held = sys.modules.get("subdags")
    sys.modules["subdags"] = without_airflow
    try:
        declared = runpy.run_path(str(ROOT / "dags" / "immigration.py"))
    finally:
        sys.modules.pop("subdags")
        if held is not None:
            sys.modules["subdags"] = held
    pipeline: Pipeline = declared["IMMIGRATION"]
    return pipeline


def spend(
    job: SparkJob,
    sources: ResolvedSources,
    windows: Sequence[Window],
    compute: Callable[[str], tuple[float, Path]],
) -> Spent:
    """What runs over `windows`, one after the other, cost; `compute` has CPU seconds and folder of an address."""
    computed: dict[str, tuple[float, Path]] = {}
    folders = []
    for window in windows:
        address = address_output(
            S3Location("bench", "processed"), job, sources, window=window, code=hash_code("immigration")
        ).address
        if address not in computed:
            computed[address] = compute(address)
        folders.append(computed[address][1])
    return Spent(sum(cpu_s for cpu_s, _ in computed.values()), len(computed), tuple(folders))


def _compute(source: Path, target: Path) -> tuple[float, Path]:
    spark = run_module("bench.arrivals_spark", str(source), str(target))
    return float(spark["whole"]["cpu_s"]), target / "kept"


def _resolve(source: Path) -> ResolvedSources:
    """The files as the library has them of S3."""
    by_source = (
        sorted((source / "sas_data").glob("*.parquet")),
        [source / "I94_SAS_Labels_Descriptions.SAS"],
    )
    objects = [
        ListedObject(
            key=path.relative_to(source).as_posix(),
            size=path.stat().st_size,
            etag=sha256(path.read_bytes()).hexdigest(),
        )
        for paths in by_source
        for path in paths
    ]
    return ResolvedSources(
        tuple(tuple(path.as_uri() for path in paths) for paths in by_source), tuple(objects)
    )


def _count_rows(folder: Path) -> int:
    return sum(pq.ParquetFile(path).metadata.num_rows for path in folder.rglob("*.parquet"))
