"""A running Redshift simulator for tests, with moto's S3 and a fake of the AWS process's control API."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg2
import pyarrow as pa
import pyarrow.parquet
from moto.server import ThreadedMotoServer

from sandbox.processes import Child
from tests.sandbox.nets import unused_net

_NET = unused_net()
HOST = f"127.{_NET}.1.1"
AWS_HOST = f"127.{_NET}.0.1"
BUCKET = "lake"
ROLE = "arn:aws:iam::123456789012:role/copy"
UNATTACHED_ROLE = "arn:aws:iam::123456789012:role/unattached"


@dataclass
class ControlPlaneState:
    """What the fake control API answers; tests change it."""

    passwords: dict[str, list[str]] = field(default_factory=lambda: {"IAM:owner": ["temporary"]})
    roles: list[str] = field(default_factory=lambda: [ROLE])
    denied: set[tuple[str, str]] = field(default_factory=set)
    unresponsive: bool = False


class ControlPlaneServer(ThreadingHTTPServer):
    state: ControlPlaneState


class _Handler(BaseHTTPRequestHandler):
    server: ControlPlaneServer

    def do_GET(self) -> None:
        state = self.server.state
        if state.unresponsive:
            return
        name = self.path.rsplit("/", 1)[-1].replace("%3A", ":")
        if self.path.startswith("/_sandbox/redshift/wh-1/credentials/"):
            passwords = state.passwords.get(name)
            self._answer({"passwords": passwords} if passwords else None)
        elif self.path == "/_sandbox/redshift/wh-1/roles":
            self._answer({"roles": state.roles})
        else:
            self._answer(None)

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        denied = (question["action"], question["resource"]) in self.server.state.denied
        self._answer({"allowed": not denied, "reason": "explicit deny" if denied else "allowed"})

    def _answer(self, body: Any) -> None:
        text = json.dumps(body or {}).encode()
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def start_control_plane() -> ControlPlaneServer:
    server = ControlPlaneServer((AWS_HOST, 0), _Handler)
    server.state = ControlPlaneState()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def start_cluster(
    data_dir: Path, control_url: str, s3_url: str, host: str = HOST, accepting_file: Path | None = None
) -> Child:
    """Start a cluster and return once it is ready. The caller stops it; it cannot outlive the tests."""
    command = [sys.executable, "-m", "sandbox.redshift", "--host", host, "--data-dir", str(data_dir)]
    command += [
        "--cluster-id",
        "wh-1",
        "--database",
        "dev",
        "--admin-user",
        "owner",
        "--aws-url",
        control_url,
        *(["--accepting-file", str(accepting_file)] if accepting_file else []),
    ]
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    log = data_dir.with_name("cluster.log")
    child = Child(command, name="cluster", log=log, environment=environment, stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    line = child.process.stdout.readline()
    if line != b"ready\n":
        child.stop()
        raise AssertionError(f"the cluster did not start:\n{child.log_tail()}")
    return child


def stop_cluster(child: Child) -> int:
    """Send SIGTERM to the cluster's process, as the AWS process does; returns its exit code."""
    for process in psutil.Process(child.process.pid).children():
        process.terminate()
    return end_of(child)


def end_of(child: Child) -> int:
    """Wait for the end of a cluster; returns its exit code."""
    code = child.process.wait(15)
    child.stop()
    assert child.process.stdout is not None
    child.process.stdout.close()
    return code


@dataclass
class Warehouse:
    """The running cluster, as tests use it."""

    control: ControlPlaneState
    s3: Any
    host: str = HOST

    def connect(self, **changes: Any) -> psycopg2.extensions.connection:
        arguments = {
            "host": self.host,
            "port": 5439,
            "user": "IAM:owner",
            "password": "temporary",
            "dbname": "dev",
            "sslmode": "require",
        }
        return psycopg2.connect(**{**arguments, **changes})

    def ask(self, sql: str, parameters: Any = None) -> list[tuple]:
        """Run SQL in its own transaction; returns the rows."""
        connection = self.connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def put_parquet(self, key: str, table: pa.Table, **options: Any) -> dict[str, Any]:
        """Store a table as Parquet; returns its manifest entry."""
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink, **options)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=sink.getvalue())
        length = len(sink.getvalue())
        return {"url": f"s3://{BUCKET}/{key}", "mandatory": True, "meta": {"content_length": length}}

    def put_manifest(self, key: str, entries: list[dict[str, Any]]) -> str:
        """Store a manifest; returns its URL."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"entries": entries}))
        return f"s3://{BUCKET}/{key}"


def running_warehouse(data_dir: Path) -> Iterator[Warehouse]:
    """The body of a fixture: a running cluster, with its S3 and control API."""
    moto = ThreadedMotoServer(AWS_HOST, 0, verbose=False)
    moto.start()
    s3_url = "http://{}:{}".format(*moto.get_host_and_port())
    control = start_control_plane()
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    s3.create_bucket(Bucket=BUCKET)
    process = start_cluster(data_dir, f"http://{AWS_HOST}:{control.server_port}", s3_url)
    try:
        yield Warehouse(control.state, s3)
    finally:
        assert stop_cluster(process) == 0
        control.shutdown()
        control.server_close()
        moto.stop()
