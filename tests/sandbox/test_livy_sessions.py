"""The embedded Livy as the sandbox uses it: S3, code from a zip, and no process left behind."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.pipeline import SparkJob, Window
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.progress import read_progress
from airflow_lib.spark.shipping import SPARKJOBS
from airflow_lib.steps.statement import parse_answer, render_statement
from sandbox import livy
from tests.contract.livy_client import Server, embedded, eventually, livy_port
from tests.sandbox.nets import unused_net

pytestmark = pytest.mark.sandbox

_NET = unused_net()


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """The environment variables of a simulated AWS that has the bucket `bucket`."""
    server = ThreadedMotoServer(ip_address=f"127.{_NET}.0.1", port=5566)
    server.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.{_NET}.0.1:5566",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    bucket = {"LocationConstraint": "eu-west-1"}
    _s3(environment).create_bucket(Bucket="bucket", CreateBucketConfiguration=bucket)
    yield environment
    server.stop()


def _s3(environment: dict[str, str]):
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def test_a_session_runs_code_from_a_zip_on_s3_that_reads_and_writes_s3(
    aws: dict[str, str], tmp_path: Path
) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("sparkjobs/__init__.py", "")
        archive.writestr("sparkjobs/double.py", "def double(n):\n    return 2 * n\n")
    s3 = _s3(aws)
    s3.put_object(Bucket="bucket", Key="code/one.zip", Body=code.getvalue())
    s3.put_object(Bucket="bucket", Key="in/numbers.csv", Body=b"n,day\n1,a\n2,b\n3,b\n")

    with embedded(f"127.{_NET}.2.1", tmp_path, environment=aws) as (server, _):
        body = {"kind": "pyspark", "driverMemory": "600m", "pyFiles": ["s3://bucket/code/one.zip"]}
        session = server.create(**body)
        assert session.wait_started() == "idle"
        session.text(
            "numbers = spark.read.csv('s3://bucket/in/', header=True)\n"
            "numbers.write.partitionBy('day').parquet('s3://bucket/out/')"
        )
        assert session.text("spark.read.parquet('s3://bucket/out/').where(\"day = 'b'\").count()") == "2"
        assert session.text("from sparkjobs.double import double\ndouble(21)") == "42"
        on_executors = "sc.parallelize([1, 2]).map(lambda n: __import__('sparkjobs.double').double.double(n))"
        assert session.text(f"{on_executors}.collect()") == "[2, 4]"
        assert session.run("import airflow_lib")["ename"] == "ModuleNotFoundError"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="bucket", Prefix="out/day=b/")["Contents"]]
    assert keys
    assert all(key.endswith(".parquet") for key in keys)


_SLOW_JOB = """
import time

def run(spark, inputs, targets, rejected, window):
    spark.range(300).repartition(2).write.parquet(targets["slow"])
    # Until the test has seen how far the job is.
    while not spark._jvm.org.apache.hadoop.fs.Path(rejected).getFileSystem(
        spark._jsc.hadoopConfiguration()
    ).exists(spark._jvm.org.apache.hadoop.fs.Path(rejected + "go")):
        time.sleep(0.1)
    return {"read": 300, "written": 300, "rejected": {}}
"""


def test_a_driver_tells_how_far_its_job_is_while_livy_tells_nothing_of_what_it_did(
    aws: dict[str, str], tmp_path: Path
) -> None:
    """The code that Mayfly ships, and the statement that it submits."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(SPARKJOBS / "__init__.py", "sparkjobs/__init__.py")
        archive.write(SPARKJOBS / "progress.py", "sparkjobs/progress.py")
        archive.writestr("sparkjobs/p/__init__.py", "")
        archive.writestr("sparkjobs/p/slow.py", _SLOW_JOB)
    s3 = _s3(aws)
    s3.put_object(Bucket="bucket", Key="code/two.zip", Body=code.getvalue())
    run: Any = SimpleNamespace(
        pipeline=SimpleNamespace(name="p"), window=Window(date(2016, 4, 1), date(2016, 4, 2))
    )
    job, output = SparkJob("slow", ("x.csv",)), Output(S3Location("bucket", "processed/p"), "slow", "0" * 32)

    def told() -> str:
        return read_progress(s3, output.progress_uri)

    with embedded(f"127.{_NET}.2.5", tmp_path, environment=aws) as (server, _):
        session = server.create(kind="pyspark", driverMemory="600m", pyFiles=["s3://bucket/code/two.zip"])
        assert session.wait_started() == "idle"
        statement = session.post(render_statement(run, job, output, [[]], "1" * 32))
        said = eventually(told, lambda text: "300 written" in text, 60)
        assert re.fullmatch(r"stage 2 of 2 so far, [\d,]+ rows read, 300 written", said)
        assert session.statement(statement)["state"] == "running"
        s3.put_object(Bucket="bucket", Key=f"processed/p/slow/{'0' * 32}/{'1' * 32}-rejected/go", Body=b"")
        answer = session.wait(statement)["output"]
        assert answer["status"] == "ok", answer
        assert parse_answer(answer["data"]["text/plain"], "slow")["read"] == 300


def test_a_session_with_a_missing_zip_is_dead_and_its_log_names_the_zip(
    aws: dict[str, str], tmp_path: Path
) -> None:
    with embedded(f"127.{_NET}.2.2", tmp_path, environment=aws) as (server, _):
        session = server.create(kind="pyspark", pyFiles=["s3://bucket/no/such.zip"], driverMemory="600m")
        assert session.wait_started() == "dead"
        log = "\n".join(server.get(f"{session.path}/log", size=-1).json()["log"])
        assert "s3://bucket/no/such.zip" in log


def test_deleting_a_session_ends_its_processes_and_deletes_its_scratch_files(tmp_path: Path) -> None:
    with embedded(f"127.{_NET}.2.3", tmp_path) as (server, child):
        session = server.create(kind="pyspark", driverMemory="600m")
        assert session.wait_started() == "idle"
        (livy_server,) = psutil.Process(child.process.pid).children()
        running = livy_server.children(recursive=True)
        assert len(running) >= 2
        session.delete()
        psutil.wait_procs(running, timeout=10)
        assert livy_server.children(recursive=True) == []
        assert sorted(path.name for path in (tmp_path / "session-0").iterdir()) == [
            "stderr.log",
            "stdout.log",
        ]


_PARENT = """
import os, sys, time
from pathlib import Path
from sandbox import livy
from sandbox.processes import Child
host, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
command = livy.command(host, port, folder)
child = Child(command, name="livy", log=folder / "server.log", environment=livy.environment(folder, os.environ))
time.sleep(600)
"""


def test_no_process_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    host = f"127.{_NET}.2.4"
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, host, str(livy_port()), str(tmp_path)])
    try:
        server = Server(f"https://{host}:{livy_port()}", tmp_path / livy.CERTIFICATE)
        eventually(lambda: _answers(server), bool, 60)
        session = server.create(kind="pyspark", driverMemory="600m")
        assert session.wait_started() == "idle"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= 4  # guard, server, JVM, Python
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def _answers(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return server.get("/sessions").ok
    return False


def test_apache_livy_is_started_if_sandbox_livy_home_is_set(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from sandbox import livy; print(livy.command('127.0.0.1', 1, livy.Path('w')))",
        ],
        env={**os.environ, "SANDBOX_LIVY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"'--livy-home', '{tmp_path}'" in done.stdout


def test_a_folder_that_is_not_a_distribution_is_reported(tmp_path: Path) -> None:
    base = [sys.executable, "-m", "sandbox.livy", "--host", f"127.{_NET}.2.5"]
    done = subprocess.run(
        [*base, "--work-dir", str(tmp_path), "--livy-home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "which lacks jars, rsc-jars, repl_2.12-jars" in done.stderr


def test_a_session_deleted_right_after_its_creation_leaves_no_process(tmp_path: Path) -> None:
    with embedded(f"127.{_NET}.2.6", tmp_path) as (server, child):
        (livy_server,) = psutil.Process(child.process.pid).children()
        for _ in range(4):
            server.create(kind="pyspark", driverMemory="600m").delete()
        assert eventually(lambda: livy_server.children(recursive=True), lambda left: not left, 10) == []
