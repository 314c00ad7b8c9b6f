"""Measures `python -m sandbox run immigration`: its wall time, and the peak memory of all its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measuring import ROOT, PeakMemory


def measure(rows: int, source: Path | None = None) -> dict[str, Any]:
    """The figures of one run on `rows` generated arrivals, or on the files in `source`.

    Raises SystemExit with the end of its output if the run fails or leaves resources behind.
    """
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "sandbox", "run", "immigration", "--report", str(report)]
        command += ["--source", str(source)] if source else ["--rows", str(rows)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}"}
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with PeakMemory(process.pid) as watch:
            output, _ = process.communicate()
        wall_s = time.monotonic() - started
        if process.returncode != 0:
            raise SystemExit(f"The run failed ({process.returncode}):\n{output[-3000:]}")
        result = json.loads(report.read_text())
    return {
        "source": str(source) if source else f"{rows} generated rows",
        "wall_s": round(wall_s, 1),
        "run_s": round(result["wall_s"], 1),
        "peak_rss_mib": watch.peak_mib,
        "jobs": result["jobs"],
    }
