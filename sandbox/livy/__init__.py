"""Livy for one EMR cluster of the sandbox: how to start it, and with which environment.

Where SANDBOX_LIVY_HOME names an unpacked Apache Livy, that is what runs (`apache.py`); else the embedded
server does, which speaks the same REST API and runs each session as a real PySpark driver (`app.py`).
Both answer on http://HOST:PORT/sessions, and read the same Spark defaults (`spark.py`).
Importing this package imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLE = "SANDBOX_LIVY_HOME"


def command(host: str, port: int, work_dir: Path, conf: Mapping[str, str] | None = None) -> list[str]:
    """What to run. `conf` holds `livy.*` settings, as EMR's `livy-conf` classification gives them.

    For Apache Livy its configuration is written into `work_dir`.
    """
    settings = dict(conf or {})
    if home := os.environ.get(HOME_VARIABLE):
        from sandbox.livy import apache

        return apache.command(Path(home), host=host, port=port, work_dir=work_dir, conf=settings)
    base = [sys.executable, "-m", "sandbox.livy", "--host", host, "--port", str(port)]
    pairs = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    return [*base, "--work-dir", str(work_dir), *pairs]


def environment(work_dir: Path, base_env: Mapping[str, str]) -> dict[str, str]:
    """The environment to run it in: `base_env` brings AWS's variables; a machine's own Java is not used."""
    from sandbox import machine

    spark_home, java_home = machine.spark_home(), machine.java_home()
    result = {
        **base_env,
        "JAVA_HOME": str(java_home),
        "SPARK_HOME": str(spark_home),
        "SPARK_CONF_DIR": str(work_dir / "spark-conf"),
        "PYSPARK_PYTHON": sys.executable,
    }
    if home := os.environ.get(HOME_VARIABLE):
        result |= {
            "LIVY_HOME": home,
            "LIVY_CONF_DIR": str(work_dir / "livy-conf"),
            "PATH": os.pathsep.join([str(java_home / "bin"), base_env.get("PATH", os.defpath)]),
        }
    return result
