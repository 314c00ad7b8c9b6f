"""The sandbox's AWS account as Mayfly's user would have prepared it: a bucket, keys, and the Variables.

And the sandbox's own look at that account, under keys of its own, so that the call log tells the two apart.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.errors import SandboxError

REGION = "us-east-1"
DEPLOYMENT = "sandbox"
BUCKET = "mayfly-sandbox"
S3_LOCATIONS = {name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "state", "logs")}

# Keys of a simulated account: anything passes.
_PRODUCT_KEY = {"access_key_id": "AKIAMAYFLYSANDBOX000", "secret_access_key": "NotASecretButMaskedLikeOne"}
_OBSERVER_KEY = "AKIAOBSERVER00000000"

# Every connection to the loopback network comes from this address, whichever one it goes to.
_CLIENT_CIDR = "127.0.0.1/32"


def variables() -> dict[str, str]:
    """The text of the Airflow Variables: short time-outs, for nothing takes long here."""
    mayfly = {
        "deployment": DEPLOYMENT,
        "s3": S3_LOCATIONS,
        "network": {"client_cidr": _CLIENT_CIDR},
        "emr": {"create_timeout_s": 300, "delete_timeout_s": 300},
        "warehouse": {"create_timeout_s": 300, "delete_timeout_s": 300},
        "livy": {"session_timeout_s": 600, "statement_timeout_s": 1800},
        "keep_alive_s": 0,
        "poll_s": 0.5,
    }
    return {
        "aws_region": REGION,
        "aws_credentials": json.dumps(_PRODUCT_KEY),
        "mayfly": json.dumps(mayfly, indent=2),
    }


class Account:
    """The account at `aws_url`, seen by the sandbox itself."""

    def __init__(self, aws_url: str) -> None:
        self.aws_url = aws_url
        self._session = boto3.Session(
            aws_access_key_id=_OBSERVER_KEY, aws_secret_access_key="sandbox", region_name=REGION
        )
        self._http = requests.Session()
        self._http.trust_env = False

    def client(self, service: str) -> Any:
        """A boto3 client for this account, past any proxy."""
        config = Config(
            proxies={},
            retries={"mode": "standard", "total_max_attempts": 3},
            s3={"addressing_style": "path"},
        )
        return self._session.client(service, endpoint_url=self.aws_url, config=config)

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    def is_up(self) -> bool:
        """Whether the account answers."""
        try:
            return self._http.get(f"{self.aws_url}/_sandbox/health", timeout=5).ok
        except requests.RequestException:
            return False

    def prepare(self) -> None:
        """Make the bucket, unless it is there."""
        try:
            self.s3.create_bucket(Bucket=BUCKET)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def replace_source(self, pipeline: str, directory: Path) -> int:
        """Make the pipeline's source hold the files below `directory` and no others; answers their bytes.

        Raises SandboxError where there is no file.
        """
        files = source_files(directory)
        prefix = f"source/{pipeline}/"
        wanted = {prefix + path.relative_to(directory).as_posix(): path for path in files}
        for key in self.keys(prefix):
            if key not in wanted:
                self.s3.delete_object(Bucket=BUCKET, Key=key)
        for key, path in wanted.items():
            self.s3.upload_file(str(path), BUCKET, key)
        return sum(path.stat().st_size for path in files)

    def read_text(self, key: str) -> str | None:
        """An object of the bucket as text, None where there is none."""
        try:
            body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "404"):
                return None
            raise
        return body.decode()

    def calls_so_far(self) -> int:
        """The number to ask `count_calls` from."""
        return int(self._calls(1 << 62)["next"])

    def count_calls(self, since: int = 0, *, principal_only: bool = False) -> dict[str, int]:
        """How often each `service.action` was called since then, the sandbox's own calls left out.

        `principal_only` leaves out what Spark and Redshift did with their roles, too.
        """
        counts: dict[str, int] = {}
        for call in self._calls(since)["calls"]:
            caller = call.get("caller")
            if caller == _PRODUCT_KEY["access_key_id"] if principal_only else caller != _OBSERVER_KEY:
                name = f"{call['service']}.{call['action']}"
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def _calls(self, since: int) -> dict[str, Any]:
        answer = self._http.get(f"{self.aws_url}/_sandbox/calls", params={"since": since}, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def keys(self, prefix: str) -> list[str]:
        """The keys of the bucket below `prefix`."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


def source_files(directory: Path) -> list[Path]:
    """Every file below `directory` but hidden ones. Raises SandboxError where it is missing or has none."""
    if not directory.is_dir():
        raise SandboxError(f"The source {directory} is no directory: name the one that holds the input files")
    found = sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
    if not found:
        raise SandboxError(f"The source {directory} holds no files: put the pipeline's input files there")
    return found
