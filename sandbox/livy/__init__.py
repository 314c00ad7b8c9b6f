"""Livy for one EMR cluster of the sandbox: how to start it, and with which environment.

Where SANDBOX_LIVY_HOME names an unpacked Apache Livy, that is what runs (`apache.py`); else the embedded
server does, which speaks the same REST API and runs each session as a real PySpark driver (`app.py`).
Both answer on http://HOST:PORT/sessions, and give Spark the same defaults (`spark.py`).
Importing this package imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLE = "SANDBOX_LIVY_HOME"


def command(host: str, port: int, work_dir: Path, conf: Mapping[str, str] | None = None) -> list[str]:
    """What to run. `conf` holds `livy.*` settings, as EMR's `livy-conf` classification gives them."""
    home = os.environ.get(HOME_VARIABLE)
    pairs = [part for key, value in (conf or {}).items() for part in ("--conf", f"{key}={value}")]
    return [
        *(sys.executable, "-m", "sandbox.livy"),
        *("--host", host, "--port", str(port), "--work-dir", str(work_dir)),
        *(("--livy-home", home) if home else ()),
        *pairs,
    ]


def environment(work_dir: Path, base_env: Mapping[str, str]) -> dict[str, str]:
    """The environment to run it in: `base_env`, which brings AWS's variables, with our Java and Spark."""
    from sandbox import machine

    return {
        **base_env,
        "JAVA_HOME": str(machine.java_home()),
        "SPARK_HOME": str(machine.spark_home()),
        "SPARK_CONF_DIR": str(work_dir.absolute() / "spark-conf"),
        "PYSPARK_PYTHON": sys.executable,
    }
