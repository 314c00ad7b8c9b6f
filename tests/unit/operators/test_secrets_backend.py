"""The Variables from AWS Secrets Manager, and the logs in S3, by the lines of setup_backend.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from airflow.sdk.execution_time.cache import SecretCache
from moto import mock_aws

from operators.airflow_run import read_settings
from tests.celery.setup_document import Block, blocks_of, read_environment_file

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = json.loads((ROOT / "variables.example.json").read_text())
REGION = "us-east-1"


def lines_of(section: str, beginning: str) -> dict[str, str]:
    (found,) = [one for one in blocks_of(section) if one.text.startswith(beginning)]
    return read_environment_file(found.text)


def policy_with(section: str, sid: str) -> Block:
    (found,) = [one for one in blocks_of(section) if f'"{sid}"' in one.text]
    return found


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lines_of("9", "AIRFLOW__SECRETS__BACKEND=").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    SecretCache.reset()


def put_secrets() -> list[str]:
    client = boto3.client("secretsmanager", region_name=REGION)
    values = {"aws_region": EXAMPLE["aws_region"], "mayfly": json.dumps(EXAMPLE["mayfly"])}
    return [
        client.create_secret(Name=f"airflow/variables/{name}", SecretString=value)["ARN"]
        for name, value in values.items()
    ]


def test_the_variables_are_read_from_secrets_manager(backend: None) -> None:
    with mock_aws():
        put_secrets()
        settings = read_settings()
    assert settings.region == EXAMPLE["aws_region"]
    assert settings.mayfly.deployment == EXAMPLE["mayfly"]["deployment"]
    assert settings.credentials is None


def test_the_policy_allows_to_read_these_secrets_and_nothing_else() -> None:
    (statement,) = json.loads(policy_with("9", "ReadMayflysVariables").text)["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    with mock_aws():
        (arns) = put_secrets()
    pattern = statement["Resource"].replace("REGION", REGION).replace("ACCOUNT_ID", "123456789012")
    for arn in arns:
        assert re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), arn)


def test_the_lines_on_logs_make_airflow_keep_them_in_s3() -> None:
    lines = lines_of("5", "AIRFLOW__LOGGING__REMOTE_LOGGING")
    script = (
        "from airflow.config_templates.airflow_local_settings import REMOTE_TASK_LOG as log\n"
        "print(type(log).__name__, log.remote_base)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "PATH": "/usr/bin:/bin",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AIRFLOW_HOME": "/nonexistent",
            **lines,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["S3RemoteLogIO s3://LOGS_BUCKET/airflow"], done.stderr


def test_the_policy_for_logs_allows_their_folder_alone() -> None:
    folder = lines_of("5", "AIRFLOW__LOGGING__REMOTE_LOGGING")["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"]
    objects, bucket = json.loads(policy_with("5", "KeepAndReadTheTasksLogs").text)["Statement"]
    assert objects["Resource"] == f"arn:aws:s3:::{folder.removeprefix('s3://')}/*"
    assert bucket["Condition"] == {"StringLike": {"s3:prefix": f"{folder.rsplit('/', 1)[1]}/*"}}
