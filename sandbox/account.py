"""The simulated AWS account, prepared as a user of Mayfly prepares a real one: buckets, keys and the Variables.

The sandbox itself reads the account with a second access key, so that the call log can tell its calls from Mayfly's.
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
STATE_BUCKET = f"{BUCKET}-state"  # versioned, as setup_backend.md says
S3_LOCATIONS = {
    **{name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "published", "logs")},
    "state": f"s3://{STATE_BUCKET}/state",
}

# The simulated account accepts any key.
PRODUCT_KEY = {"access_key_id": "AKIAMAYFLYSANDBOX000", "secret_access_key": "NotASecretButMaskedLikeOne"}
OBSERVER_KEY = "AKIAOBSERVER00000000"

# A connection within 127.0.0.0/8 has this source address, whatever its destination.
_CLIENT_CIDR = "127.0.0.1/32"


def variables() -> dict[str, str]:
    """The text of each Airflow Variable, by name. The time-outs are short, since nothing takes long here."""
    mayfly = {
        "deployment": DEPLOYMENT,
        "s3": S3_LOCATIONS,
        "network": {"client_cidr": _CLIENT_CIDR},
        "emr": {"create_timeout_s": 300, "delete_timeout_s": 300},
        "warehouse": {"create_timeout_s": 300, "delete_timeout_s": 300, "absent_after_s": 2},
        "livy": {"session_timeout_s": 600, "statement_timeout_s": 1800},
        "keep_alive_s": 0,
        "poll_s": 0.5,
    }
    return {
        "aws_region": REGION,
        "aws_credentials": json.dumps(PRODUCT_KEY),
        "mayfly": json.dumps(mayfly, indent=2),
    }


class Account:
    """The sandbox's own access to the simulated account at `aws_url`."""

    def __init__(self, aws_url: str) -> None:
        self.aws_url = aws_url
        self._session = boto3.Session(
            aws_access_key_id=OBSERVER_KEY, aws_secret_access_key="sandbox", region_name=REGION
        )
        self._http = requests.Session()
        self._http.trust_env = False

    def client(self, service: str) -> Any:
        """A boto3 client for this account; it uses no proxy."""
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
        """Whether the AWS process responds."""
        try:
            return self._http.get(f"{self.aws_url}/_sandbox/health", timeout=5).ok
        except requests.RequestException:
            return False

    def prepare(self) -> None:
        """Create the buckets if they do not exist, and turn the state's versioning on."""
        for bucket in (BUCKET, STATE_BUCKET):
            try:
                self.s3.create_bucket(Bucket=bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise
        self.s3.put_bucket_versioning(Bucket=STATE_BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def replace_source(self, pipeline: str, directory: Path) -> int:
        """Make the pipeline's source hold exactly the files below `directory`; returns their total size in bytes.

        Raises SandboxError if there is no file.
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
        """An object as text, or None if it does not exist."""
        try:
            body: bytes = self.s3.get_object(Bucket=_bucket_of(key), Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "404"):
                return None
            raise
        return body.decode()

    def calls_so_far(self) -> int:
        """How many calls were logged so far: pass it to `count_calls` later to count only newer ones."""
        return int(self._calls(1 << 62)["next"])

    def count_calls(
        self, since: int = 0, *, principal_only: bool = False, accepted_only: bool = False
    ) -> dict[str, int]:
        """How often each `service.action` was called since then, without the sandbox's own calls.

        `principal_only` also leaves out the calls that Spark and Redshift made with their roles, `accepted_only` those
        that AWS refused.
        """
        counts: dict[str, int] = {}
        for call in self.list_calls(since):
            if accepted_only and call["status"] >= 300:
                continue
            caller = call.get("caller")
            if caller == PRODUCT_KEY["access_key_id"] if principal_only else caller != OBSERVER_KEY:
                name = f"{call['service']}.{call['action']}"
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def list_calls(self, since: int = 0) -> list[dict[str, Any]]:
        """The logged calls since then: `time` (Unix), `service`, `action`, `caller` and `status` of each."""
        calls: list[dict[str, Any]] = self._calls(since)["calls"]
        return calls

    def _calls(self, since: int) -> dict[str, Any]:
        answer = self._http.get(f"{self.aws_url}/_sandbox/calls", params={"since": since}, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def keys(self, prefix: str) -> list[str]:
        """The keys of its bucket that start with `prefix`."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=_bucket_of(prefix), Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


def _bucket_of(key: str) -> str:
    """Keys start with the name of their location."""
    return STATE_BUCKET if key.startswith("state/") else BUCKET


def source_files(directory: Path) -> list[Path]:
    """Every file below `directory`, without hidden ones. Raises SandboxError if it is no directory or has no files."""
    if not directory.is_dir():
        raise SandboxError(
            f"The source {directory} is not a directory: name the one that holds the input files"
        )
    found = sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
    if not found:
        raise SandboxError(f"The source {directory} holds no files: put the pipeline's input files there")
    return found
