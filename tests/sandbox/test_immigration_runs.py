"""The whole immigration pipeline with real Airflow, Spark and PostgreSQL: several runs in order in one sandbox.

The runs share one account, as a user's runs do: between them, the warehouse is kept as a snapshot.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from nets import unused_net
from sandbox_process import ROOT, SandboxProcess
from walked_graph import upstream_of, walked_states
from warehouse_content import read_content

from dags.immigration import IMMIGRATION
from sandbox.account import Account
from sandbox.data.immigration import generate
from sandbox.state import Running

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]

ROWS = 20_000  # enough for every quirk to occur
APRIL = ("2016-04-01", "2016-05-01")
# The source has nothing of the days around April. A run of April alone, or of a part of it, has nothing to do after
# the first one.
WIDER = ("2016-03-30", "2016-05-03")
JOBS = ("arrivals", "cities", "temperature", "airports")
TABLES = ("factArrivetheUsa", "dimTourist", "dimStateDestination", "dimAirport", "dimArriveDate")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("immigration-source")
    generate(directory, rows=ROWS, seed=1)
    return directory


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    home = tmp_path_factory.mktemp("immigration") / "home"
    process = SandboxProcess(home, net=unused_net(), dags=ROOT / "dags")
    with process.up():
        yield process


@pytest.fixture(scope="module")
def account(sandbox: SandboxProcess) -> Account:
    return Account(Running(**json.loads((sandbox.home / "running.json").read_text())).aws_url)


Execute = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def execute(sandbox: SandboxProcess, account: Account) -> Execute:
    """A function that runs the pipeline once; returns its report, with the exit code, the output, and the calls that
    AWS accepted."""

    def execute_run(source: Path, start: str, end: str) -> dict[str, Any]:
        report = sandbox.home.with_name("report.json")
        window = ("--window-start", start, "--window-end", end)
        page = report.with_suffix(".html")
        files = ("--report", str(report), "--html", str(page))
        arguments = ("run", "immigration", "--source", str(source), *window, *files)
        since = account.calls_so_far()
        done = sandbox.run(*arguments, deadline_s=600)
        accepted = account.count_calls(since, accepted_only=True)
        told = json.loads(report.read_text())
        ended = {"exit": done.returncode, "printed": done.stdout, "page": page.read_text(encoding="utf-8")}
        return {**told, "accepted": accepted, **ended}

    return execute_run


@pytest.fixture(scope="module")
def first(execute: Execute, source: Path) -> dict[str, Any]:
    return execute(source, *APRIL)


@pytest.fixture(scope="module")
def first_calls(first: dict[str, Any], account: Account) -> dict[str, int]:
    return account.count_calls(principal_only=True)


@pytest.fixture(scope="module")
def content(sandbox: SandboxProcess) -> Callable[[], Any]:
    return lambda: read_content(sandbox)


@pytest.fixture(scope="module")
def april(first: dict[str, Any], content: Callable[[], Any]) -> Any:
    return content()


def states_of(report: dict[str, Any]) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in report["tasks"]}


def test_a_run_succeeds_and_leaves_nothing(first: dict[str, Any]) -> None:
    assert (first["exit"], first["state"], first["inventory"]) == (0, "success", []), first["printed"]
    assert len(first["kept"]) == 1
    assert "final" in str(first["kept"][0])


def test_every_row_read_is_written_or_rejected_with_a_reason(first: dict[str, Any]) -> None:
    assert set(first["jobs"]) == set(JOBS)
    for name, job in first["jobs"].items():
        assert job["written"] > 0, name
        if name not in {"cities", "airports"}:  # these write one row per state and one per port
            assert job["read"] == job["written"] + sum(job["rejected"].values()), name
    assert {"not_by_air", "age_negative", "duplicate_tourist_id"} <= set(
        first["jobs"]["arrivals"]["rejected"]
    )


def test_the_rows_written_by_spark_are_in_the_tables(first: dict[str, Any]) -> None:
    assert set(first["tables"]) == set(TABLES)
    arrivals = first["jobs"]["arrivals"]["written"]
    assert first["tables"]["factArrivetheUsa"] == {"before": 0, "rows": arrivals, "total": arrivals}
    assert first["tables"]["dimTourist"] == {"total": arrivals}
    assert first["tables"]["dimArriveDate"] == {"total": 30}


def test_all_checks_ran_and_only_the_known_quirk_is_a_warning(first: dict[str, Any]) -> None:
    assert len(first["checks"]) == 18
    assert [(check["name"], check["severity"]) for check in first["checks"] if not check["passed"]] == [
        ("departs_after_arrival", "warn")
    ]


def test_every_question_is_answered(first: dict[str, Any]) -> None:
    assert len(first["answers"]) == 5
    assert all(answer["rows"] for answer in first["answers"].values())
    columns = first["answers"]["stays_april_2016"]["columns"]
    assert columns[:3] == ["tourist_id", "arrivedate_id", "departdate"]


def test_the_run_has_left_its_report_in_s3_and_it_tells_what_the_commands_page_does(
    first: dict[str, Any], account: Account
) -> None:
    (key,) = [key for key in account.keys("logs/immigration/runs/") if key.endswith("/report.html")]
    stored = account.read_text(key)
    assert stored is not None
    for page in (stored, first["page"]):
        assert '<header class="hero green">' in page
        assert "Nothing is left behind." in page
        for name, job in first["jobs"].items():
            assert re.search(rf"<h3>{name}\b", page)
            assert f"<dd>{job['written']:,}</dd>".replace(",", "\u202f") in page
        assert page.count('<rect class="wait"') >= len(JOBS), "sessions were waited for without a worker"
        assert page.count('<rect class="changing"') == 4, "both clusters came up and went"
        assert page.count('class="is-critical"') >= 8, "from the plan to the verdict"


def test_every_answer_is_published_and_outlives_the_warehouse(
    first: dict[str, Any], account: Account
) -> None:
    for name, answer in first["answers"].items():
        bodies = {}
        for kind, uri in answer["published"].items():
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            assert key == f"published/immigration/{name}/{kind}/{name}_000.{kind}"
            bodies[kind] = account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        rows = pyarrow.parquet.read_table(io.BytesIO(bodies["parquet"])).to_pylist()
        header, *lines = csv.reader(io.StringIO(bodies["csv"].decode()))
        assert header == answer["columns"]
        assert len(rows) == len(lines) == answer["row_count"]
        assert len(answer["rows"]) == min(10, answer["row_count"])


def test_one_cluster_of_each_kind_is_created(first: dict[str, Any]) -> None:
    made = first["accepted"]
    assert made["elasticmapreduce.RunJobFlow"] == made["redshift.CreateCluster"] == 1


def test_the_spark_sessions_run_at_the_same_time(first: dict[str, Any]) -> None:
    sessions = [task for task in first["tasks"] if task["task_id"] in {f"transform.{job}" for job in JOBS}]
    assert max(task["start"] for task in sessions) < min(task["end"] for task in sessions)


def test_the_proofs_walk_matches_airflows_order_and_states(first: dict[str, Any]) -> None:
    began = {task["task_id"]: task["start"] for task in first["tasks"]}
    ended = {task["task_id"]: task["end"] for task in first["tasks"]}
    assert states_of(first) == walked_states(IMMIGRATION, failing=set())
    assert [
        (before, task)
        for task, upstream in upstream_of(IMMIGRATION).items()
        for before in upstream
        if ended[before] > began[task]
    ] == []


def test_the_principals_policy_allows_every_call_it_made(first_calls: dict[str, int]) -> None:
    policy = json.loads((ROOT / "docs" / "iam-principal-policy.json").read_text())
    allowed = {
        action
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert {call.replace(".", ":") for call in first_calls} - allowed == set()


def test_a_month_loaded_in_two_halves_in_reverse_order_gives_the_same_tables(
    april: Any, execute: Execute, source: Path, content: Callable[[], Any], account: Account
) -> None:
    for start, end in (("2016-04-16", "2016-05-02"), ("2016-03-31", "2016-04-16")):  # see WIDER
        run = execute(source, start, end)
        assert (run["exit"], run["inventory"]) == (0, []), run["printed"]
        assert run["accepted"].get("redshift.RestoreFromClusterSnapshot") == 1
        assert "redshift.CreateCluster" not in run["calls"]
    assert content() == april


def test_the_same_rows_loaded_again_need_no_emr_and_change_nothing(
    april: Any, execute: Execute, source: Path, content: Callable[[], Any]
) -> None:
    run = execute(source, *WIDER)
    assert (run["exit"], run["inventory"]) == (0, []), run["printed"]
    assert run["accepted"].get("redshift.RestoreFromClusterSnapshot") == 1
    assert "elasticmapreduce.RunJobFlow" not in run["calls"]
    assert content() == april


def test_the_same_window_again_is_nothing_to_do(
    april: Any, execute: Execute, source: Path, content: Callable[[], Any], account: Account
) -> None:
    since = account.calls_so_far()
    run = execute(source, *APRIL)
    made = account.count_calls(since, principal_only=True)
    assert (run["exit"], run["state"], run["inventory"]) == (0, "success", []), run["printed"]
    assert sum(made.values()) <= 30, made
    assert not {call for call in run["accepted"] if ".Create" in call or ".Run" in call or ".Restore" in call}
    assert states_of(run) == walked_states(IMMIGRATION, failing=set(), idle=True)
    assert content() == april


def test_a_source_file_that_lacks_a_column_is_told_before_any_resource_is_created(
    april: Any, execute: Execute, source: Path, content: Callable[[], Any]
) -> None:
    cities = source / "us-cities-demographics.csv"
    cities.write_text(cities.read_text().replace("Median Age", "Age", 1))
    run = execute(source, *APRIL)
    assert (run["exit"], run["state"], run["inventory"]) == (1, "failed", []), run["printed"]
    assert "us-cities-demographics.csv" in run["printed"]
    assert "Median Age" in run["printed"]
    assert states_of(run) == walked_states(IMMIGRATION, failing={"provision.preflight"})
    assert not {call for call in run["calls"] if ".Create" in call or ".Run" in call}
    assert content() == april


def test_if_a_source_file_is_missing_no_resource_is_created(execute: Execute, source: Path) -> None:
    (source / "GlobalLandTemperaturesByState.csv").unlink()
    run = execute(source, *APRIL)
    assert (run["exit"], run["state"], run["inventory"]) == (1, "failed", []), run["printed"]
    assert "GlobalLandTemperaturesByState.csv: missing or empty" in run["printed"]
    assert not {call for call in run["calls"] if ".Create" in call or ".Run" in call}
