"""The arrivals job against a Polars single pass that writes the same Parquet, in one run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.arrivals_polars import compare
from bench.measuring import run_apart
from sandbox.data.immigration import generate


def measure(rows: int) -> dict[str, Any]:
    """Figures on `rows` generated rows; raises SystemExit where the two results differ."""
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        place = Path(scratch)
        started = time.monotonic()
        generate(place / "source", rows=rows)
        generated_s = time.monotonic() - started
        spark = run_apart("bench.arrivals_spark", str(place / "source"), str(place / "spark"))
        polars = run_apart("bench.arrivals_polars", str(place / "source"), str(place / "polars"))
        difference = compare(place / "spark" / "kept", place / "polars")
        if difference:
            raise SystemExit(f"Spark's result differs from Polars's: {difference}")
        files = [path.stat().st_size for path in (place / "spark" / "kept").rglob("*.parquet")]
    return {
        "rows": rows,
        "generated_s": round(generated_s, 1),
        "rows_per_s": round(rows / spark["job"]["wall_s"]),
        "cpu_ratio_of_job": round(spark["job"]["cpu_s"] / polars["job"]["cpu_s"], 1),
        "cpu_ratio_with_start": round(spark["whole"]["cpu_s"] / polars["job"]["cpu_s"], 1),
        "files_mib": [round(size / 2**20, 1) for size in files],
        "spark": spark,
        "polars": polars,
    }
