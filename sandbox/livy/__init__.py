"""The Livy server of one simulated EMR cluster: the command and the environment to start it with.

If SANDBOX_LIVY_HOME names an unpacked Apache Livy, that is started (`apache.py`). Otherwise it is the embedded
server, which has the same REST API and runs each session as a real PySpark driver (`app.py`).
Both serve https://HOST:PORT/sessions by default, as EMR's does, with a certificate that nobody signed, and plain HTTP
on request; both give Spark the same defaults (`spark.py`).
Importing this package is fast: it imports its heavy dependencies only when they are used.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLE = "SANDBOX_LIVY_HOME"
CERTIFICATE = "livy.pem"
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/enabling-https.html
_TLS_SINCE = (7, 4, 0)


def speaks_tls(release: str) -> bool:
    """Whether the Livy of an EMR release, such as `emr-7.13.0`, speaks TLS by default."""
    numbers = re.match(r"emr-(\d+)\.(\d+)\.(\d+)", release)
    return numbers is not None and tuple(map(int, numbers.groups())) >= _TLS_SINCE


def command(
    host: str,
    port: int,
    work_dir: Path,
    conf: Mapping[str, str] | None = None,
    *,
    certificate: Path | None = None,
    plain: bool = False,
) -> list[str]:
    """The command to start.

    `conf` holds `livy.*` settings, those of EMR's classification `livy-conf`. `certificate` is a PEM file of key and
    certificate, made where there is none; by default it is `livy.pem` in `work_dir`. `plain` is without TLS.
    """
    home = os.environ.get(HOME_VARIABLE)
    pairs = [part for key, value in (conf or {}).items() for part in ("--conf", f"{key}={value}")]
    return [
        *(sys.executable, "-m", "sandbox.livy"),
        *("--host", host, "--port", str(port), "--work-dir", str(work_dir)),
        *(("--livy-home", home) if home else ()),
        *(("--plain",) if plain else ()),
        *(("--certificate", str(certificate)) if certificate else ()),
        *pairs,
    ]


def environment(work_dir: Path, base_env: Mapping[str, str]) -> dict[str, str]:
    """The environment to start it with: `base_env`, which has AWS's variables, with the sandbox's Java and Spark."""
    from sandbox import machine

    return {
        **base_env,
        "JAVA_HOME": str(machine.java_home()),
        "SPARK_HOME": str(machine.spark_home()),
        "SPARK_CONF_DIR": str(work_dir.absolute() / "spark-conf"),
        "PYSPARK_PYTHON": sys.executable,
    }
