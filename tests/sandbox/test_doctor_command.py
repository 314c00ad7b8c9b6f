"""The doctor's command on the sandbox's AWS, as a user types it: all is well there, and what is not is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_fakes import AwsProcess

from airflow_lib.janitor import SETTINGS_FILE
from sandbox.account import BUCKET, Account, variables

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
_READS = ("Describe", "Get", "List", "Simulate")
Doctor = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with AwsProcess(tmp_path_factory.mktemp("doctor") / "state") as process:
        account = Account(process.url)
        account.prepare()
        account.s3.put_object(Bucket=BUCKET, Key="source/immigration/airports.csv", Body=b"x")
        yield process


@pytest.fixture
def doctor(aws: AwsProcess, tmp_path: Path) -> Doctor:
    def ask(**mayfly: Any) -> subprocess.CompletedProcess[str]:
        known = variables()
        content = {
            "aws_region": known["aws_region"],
            "aws_credentials": json.loads(known["aws_credentials"]),
            "mayfly": json.loads(known["mayfly"]) | mayfly,
        }
        (tmp_path / "settings.json").write_text(json.dumps(content))
        return subprocess.run(
            [sys.executable, "-m", "airflow_lib.doctor"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "plugins"),
                SETTINGS_FILE: str(tmp_path / "settings.json"),
                "AWS_ENDPOINT_URL": aws.url,
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return ask


def test_on_the_sandboxs_account_all_is_well_and_nothing_is_changed(doctor: Doctor, aws: AwsProcess) -> None:
    before = aws.ask("GET", "calls?since=0")[1]["next"]
    done = doctor()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert all(line.startswith("ok ") for line in done.stdout.splitlines()), done.stdout
    calls = aws.ask("GET", f"calls?since={before}")[1]["calls"]
    assert len(calls) > 40
    assert [call for call in calls if not call["action"].startswith(_READS)] == []
    assert [call for call in calls if call["status"] >= 500] == []


def test_the_rights_of_both_policies_suffice_for_it(doctor: Doctor, aws: AwsProcess) -> None:
    before = aws.ask("GET", "calls?since=0")[1]["next"]
    assert doctor().returncode == 0
    granted = {
        action
        for name in ("iam-principal-policy", "iam-doctor-policy")
        for statement in json.loads((ROOT / f"docs/{name}.json").read_text())["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    calls = aws.ask("GET", f"calls?since={before}")[1]["calls"]
    assert {f"{call['service']}:{call['action']}" for call in calls} - granted == set()


def test_what_is_wrong_is_named_and_the_command_ends_with_1(doctor: Doctor) -> None:
    done = doctor(warehouse={"node_type": "ra3.4xlarge"}, emr={"release": "emr-7.99.0"})
    assert (done.returncode, done.stderr) == (1, "")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong ")]
    assert len(wrong) == 2
    assert "ra3.4xlarge" in wrong[0]
    assert "emr-7.99.0" in wrong[1]


def test_what_aws_denies_is_unknown_and_the_command_ends_with_0(doctor: Doctor, aws: AwsProcess) -> None:
    fault = {"service": "iam", "action": "SimulatePrincipalPolicy", "kind": "access_denied", "times": None}
    aws.ask("POST", "faults", fault)
    try:
        done = doctor()
    finally:
        aws.ask("DELETE", "faults")
    assert done.returncode == 0, done.stdout
    unknown = [line for line in done.stdout.splitlines() if line.startswith("unknown ")]
    assert len(unknown) == 1
    assert "permissions: AWS answered AccessDenied to SimulatePrincipalPolicy" in unknown[0]
