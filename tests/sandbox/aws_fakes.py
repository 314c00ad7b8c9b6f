"""The sandbox's AWS process, with fast fakes of Livy and of the Redshift simulator."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3
import psutil
from botocore.config import Config
from nets import unused_net

from sandbox.processes import Child

HERE = Path(__file__).resolve().parent
REGION = "us-east-1"
MANAGED_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
V2_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"
DEADLINE_S = 30.0


class AwsProcess:
    """`python -m sandbox.aws` on its own loopback net."""

    def __init__(self, state_dir: Path, *options: str, net: int | None = None) -> None:
        self.state_dir = state_dir
        self.net = net or unused_net()
        self.host = f"127.{self.net}.0.1"
        self.url = f"http://{self.host}:5566"
        self.log = state_dir.parent / f"{state_dir.name}.log"
        self._options = options
        self._child = self._start()

    def _start(self) -> Child:
        python = sys.executable
        command = [python, "-m", "sandbox.aws", "--host", self.host, "--state-dir", str(self.state_dir)]
        # Tests that make roles are about other things than IAM's delay, but for those that set it.
        command += [
            "--emr-delay",
            "0.3",
            "--redshift-delay",
            "0.2",
            "--livy-restart",
            "0.2",
            "--iam-delay",
            "0",
        ]
        command += ["--livy-command", f"{python} -S {HERE / 'aws_fake_livy.py'} {{host}} {{port}}"]
        command += [
            "--redshift-command",
            f"{python} -S {HERE / 'aws_fake_redshift.py'} {{host}} {{port}} {{data_dir}} {{database}}",
        ]
        child = Child([*command, *self._options], name="AWS", log=self.log, stdout=subprocess.PIPE)
        assert child.process.stdout is not None
        assert child.process.stdout.readline() == b"ready\n", child.log_tail()
        return child

    @property
    def server(self) -> psutil.Process:
        """The AWS process itself, below its guard."""
        return psutil.Process(self._child.process.pid).children()[0]

    def stop(self) -> None:
        """Send SIGTERM to the AWS process alone, as `kill` does. Calling it again has no effect."""
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            self.server.terminate()
        self._child.process.wait(DEADLINE_S)
        if self._child.process.stdout:
            self._child.process.stdout.close()
        self._child.stop()

    @property
    def returncode(self) -> int | None:
        return self._child.returncode

    def restart(self, *options: str) -> None:
        self.stop()
        self._options = options
        self._child = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client(self, service: str, *, key: str = "AKIATEST", attempts: int = 1) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                s3={"addressing_style": "path"},
                proxies={},
            ),
        )

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, JSON) of a request to the control API."""
        request = urllib.request.Request(
            f"{self.url}/_sandbox/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@functools.cache
def shared_aws() -> AwsProcess:
    """One AWS process for all test modules, started on first use, since a start takes seconds."""
    directory = tempfile.TemporaryDirectory(prefix="mayfly-aws-")
    process = AwsProcess(Path(directory.name) / "state")
    atexit.register(directory.cleanup)
    atexit.register(process.stop)
    return process


def until(probe: Callable[[], Any], wanted: Callable[[Any], bool]) -> list[Any]:
    """The distinct consecutive values of `probe`, up to the first that is wanted. Fails after a deadline."""
    seen: list[Any] = []
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        value = probe()
        if not seen or seen[-1] != value:
            seen.append(value)
        if wanted(value):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"Timed out after {DEADLINE_S:.0f} s; saw {seen}")


def trust(service: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
    )


def policy(effect: str, action: Any, resource: Any, condition: Any = None) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
