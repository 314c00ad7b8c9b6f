"""The commands with a running sandbox: what a person sees, and that nothing is left behind.

The tests run in their order; the last ones end the sandbox.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from live_processes import LiveProcesses, kill
from nets import unused_net
from sandbox_process import SandboxProcess, wait_until

from sandbox.account import Account
from sandbox.airflow.client import AirflowClient
from sandbox.state import Running

pytestmark = pytest.mark.sandbox

WINDOW = ("--window-start", "2016-04-01", "--window-end", "2016-05-01")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("source")
    (directory / "a.csv").write_text("a\n")
    (directory / "folder").mkdir()
    (directory / "folder" / "b.csv").write_text("b\n")
    return directory


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("up") / "home", net=unused_net())
    with process.up():
        yield process


@pytest.fixture(scope="module")
def running(sandbox: SandboxProcess) -> Running:
    return Running(**json.loads((sandbox.home / "running.json").read_text()))


@pytest.fixture(scope="module")
def report(sandbox: SandboxProcess, source: Path) -> dict[str, Any]:
    """The report of a successful run."""
    path = sandbox.home / "report.json"
    files = ("--report", str(path), "--html", str(path.with_suffix(".html")))
    done = sandbox.run("run", "trivial", "--source", str(source), *WINDOW, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "transform.copy: success" in done.stdout
    assert "The run is green" in done.stdout
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_everything_listens_on_loopback_only(sandbox: SandboxProcess, running: Running) -> None:
    listening = {
        connection.laddr
        for process in sandbox.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.port for address in listening} >= {8080, 5432, 5566}
    assert [address for address in listening if not ipaddress.ip_address(address.ip).is_loopback] == []


def test_up_and_status_print_the_address_user_and_password(sandbox: SandboxProcess, running: Running) -> None:
    status = sandbox.run("status")
    assert status.returncode == 0
    for text in (sandbox.output, status.stdout):
        assert f"{running.airflow_url}   user admin   password {running.password}" in text


def test_only_the_user_may_read_the_password(sandbox: SandboxProcess) -> None:
    files = [sandbox.home / "running.json", sandbox.home / "airflow" / "passwords.json"]
    assert [path.stat().st_mode & 0o077 for path in files] == [0, 0]


def test_run_uses_the_running_sandbox_and_reports_the_tasks_results(
    report: dict[str, Any],
) -> None:
    assert report["state"] == "success"
    assert [task["task_id"] for task in report["tasks"]] == ["plan", "transform.copy", "answers.nulls"]
    assert report["jobs"] == {"copy": {"read": 2, "written": 2, "rejected": {}}}
    assert report["answers"] == {"nulls": {"columns": ["a", "b"], "rows": [[1, None]]}}
    assert report["inventory"] == []


def test_run_writes_the_report_as_a_page_with_the_graph_of_the_dag(
    report: dict[str, Any], sandbox: SandboxProcess
) -> None:
    page = (sandbox.home / "report.html").read_text(encoding="utf-8")
    assert '<header class="hero green">' in page
    assert page.count('class="is-critical"') == 3, "its three tasks follow one another"
    assert "<b>2</b><span>rows read</span>" in page


def test_the_reported_calls_do_not_include_the_sandboxs_own(report: dict[str, Any]) -> None:
    assert report["calls"] == {"s3.ListBucket": 1}


def test_tasks_get_the_window_and_the_sandboxs_aws_settings_and_not_the_callers(
    report: dict[str, Any], running: Running
) -> None:
    client = AirflowClient(str(running.airflow_url), str(running.user), str(running.password))
    runs = client.request("GET", "/dags/trivial/dagRuns")["dag_runs"]
    plan = next(task for task in client.tasks("trivial", runs[0]["dag_run_id"]) if task.task_id == "plan")
    seen = client.result("trivial", runs[0]["dag_run_id"], plan)
    assert seen["params"]["window_start"] == "2016-04-01"
    assert seen["params"]["window_end"] == "2016-05-01"
    assert seen["environment"] == {
        "AWS_ENDPOINT_URL": running.aws_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_airflow_schedules_no_runs(report: dict[str, Any], running: Running) -> None:
    """The DAG is scheduled for every minute."""
    client = AirflowClient(str(running.airflow_url), str(running.user), str(running.password))
    runs = client.request("GET", "/dags/trivial/dagRuns")["dag_runs"]
    assert {run["run_type"] for run in runs} == {"manual"}


def test_a_failed_run_prints_the_failed_tasks_log_and_exits_with_1(
    sandbox: SandboxProcess, source: Path
) -> None:
    window = ("--window-start", "2016-01-01", "--window-end", "2016-01-02")
    done = sandbox.run("run", "trivial", "--source", str(source), *window)
    assert done.returncode == 1
    assert "transform.copy failed. The end of its log:" in done.stdout
    assert "ValueError: the window is the one that fails" in done.stdout
    assert "The run is red" in done.stdout


def test_a_successful_run_with_leftovers_prints_them_and_exits_with_1(
    sandbox: SandboxProcess, source: Path, running: Running
) -> None:
    done = sandbox.run("run", "leaky", "--source", str(source), *WINDOW)
    Account(running.aws_url).client("iam").delete_role(RoleName="mayfly-leaky")
    assert done.returncode == 1
    assert "The run is green" in done.stdout
    assert "IAM role mayfly-leaky exists" in done.stdout


def test_inventory_lists_what_exists(sandbox: SandboxProcess, running: Running) -> None:
    iam = Account(running.aws_url).client("iam")
    assert sandbox.run("inventory").returncode == 0
    iam.create_role(RoleName="mayfly-forgotten", AssumeRolePolicyDocument="{}")
    found = sandbox.run("inventory")
    iam.delete_role(RoleName="mayfly-forgotten")
    assert found.returncode == 1
    assert "mayfly-forgotten" in found.stdout


def test_a_second_sandbox_in_the_same_workspace_is_refused_with_a_hint(
    sandbox: SandboxProcess, running: Running
) -> None:
    refused = sandbox.run("up")
    assert refused.returncode == 2
    assert f"`up` (process {running.pid})" in refused.stderr
    assert "python -m sandbox down" in refused.stderr


def test_sql_without_a_snapshot_says_how_to_create_one(sandbox: SandboxProcess) -> None:
    answer = sandbox.run("sql", "trivial", "-c", "SELECT 1")
    assert answer.returncode == 2
    assert "python -m sandbox run trivial" in answer.stderr


def test_components_that_die_are_reported_and_restarted(sandbox: SandboxProcess, running: Running) -> None:
    processes = LiveProcesses(running.pid)
    components = ("triggerer", "scheduler", "dag-processor", "api-server")
    first = {name: processes.airflow(name) for name in components}
    for process in first.values():
        assert process is not None
        kill(process)
    for name in components:
        wait_until(lambda name=name: f"The airflow {name} was restarted" in sandbox.output, name, 60)
        assert f"The airflow {name} ended with code 137 and will be restarted" in sandbox.output
        wait_until(lambda name=name: processes.airflow(name) not in (None, first[name]), name, 10)


def test_a_run_after_the_restarts_succeeds(sandbox: SandboxProcess, source: Path, running: Running) -> None:
    client = AirflowClient(str(running.airflow_url), str(running.user), str(running.password))
    wait_until(lambda: is_healthy(client), "a healthy Airflow", 60)
    done = sandbox.run("run", "trivial", "--source", str(source), *WINDOW)
    assert done.returncode == 0, done.stdout + done.stderr


def is_healthy(client: AirflowClient) -> bool:
    try:
        return set(client.health().values()) == {"healthy"}
    except requests.RequestException:
        return False


def test_the_death_of_aws_ends_the_sandbox_with_the_end_of_its_log(
    sandbox: SandboxProcess, running: Running
) -> None:
    aws = LiveProcesses(running.pid).aws()
    assert aws is not None
    aws.kill()
    wait_until(lambda: "Stopping" in sandbox.output, "the stop of the sandbox", 30)
    wait_until(lambda: sandbox.processes() == [], "the end of every process", 30)
    assert "The sandbox's AWS ended with code" in sandbox.output
    assert "aws.log" in sandbox.output


def test_down_without_a_running_sandbox_succeeds(sandbox: SandboxProcess) -> None:
    down = sandbox.run("down")
    assert (down.returncode, down.stdout.strip()) == (0, "No sandbox is running")
    assert sandbox.run("status").returncode == 3
