"""Compares the arrivals job with a single pass by Polars that writes the same Parquet."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.arrivals_polars import compare
from bench.measuring import run_module
from sandbox.data.immigration import generate


def measure(rows: int) -> dict[str, Any]:
    """The figures for `rows` generated rows. Raises SystemExit if the two results differ."""
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        folder = Path(scratch)
        started = time.monotonic()
        generate(folder / "source", rows=rows)
        generated_s = time.monotonic() - started
        spark = run_module("bench.arrivals_spark", str(folder / "source"), str(folder / "spark"))
        polars = run_module("bench.arrivals_polars", str(folder / "source"), str(folder / "polars"))
        difference = compare(folder / "spark" / "kept", folder / "polars")
        if difference:
            raise SystemExit(f"Spark's result differs from Polars's: {difference}")
        files = [path.stat().st_size for path in (folder / "spark" / "kept").rglob("*.parquet")]
    return {
        "rows": rows,
        "generated_s": round(generated_s, 1),
        "rows_per_s": round(rows / spark["job"]["wall_s"]),
        "cpu_ratio_of_job": round(spark["job"]["cpu_s"] / polars["job"]["cpu_s"], 1),
        "cpu_ratio_with_start": round(spark["whole"]["cpu_s"] / polars["job"]["cpu_s"], 1),
        "files": len(files),
        "largest_file_mib": round(max(files) / 2**20, 1),
        "spark": spark,
        "polars": polars,
    }
