"""Processes killed with SIGKILL during real runs, and an EMR cluster that fails to start.

One sandbox, five runs in order, all of April, each with a day more than the one before, so that each has something to
load. Kills in different phases share a run. Each run with kills has its own location for Spark's output, so it
computes everything; a second run after each reuses that output. So the tables of four loads, from two computations,
are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ended_runs import Ended, end, run_to_its_end, sandbox_with_source
from live_processes import kill
from live_runs import JOBS, LiveRuns

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]

BOOTSTRAP_REASON = "On the master instance (i-0), bootstrap action 1 returned a non-zero return code"
TRANSFORM = {f"transform.{job}" for job in JOBS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRuns]:
    home = tmp_path_factory.mktemp("kills") / "home"
    yield from sandbox_with_source(home, dags=Path(__file__).parent / "short_dags")


@pytest.fixture(scope="module")
def broken(runs: LiveRuns) -> Ended:
    """A run whose EMR cluster ends in TERMINATED_WITH_ERRORS while it bootstraps."""
    runs.control("POST", "emr/next/fail", {"reason": BOOTSTRAP_REASON})
    return run_to_its_end(runs, "broken")


@pytest.fixture(scope="module")
def killed(runs: LiveRuns, broken: Ended) -> Ended:
    """A run with three kills: triggerer in provision, Livy driver in transform, load task in its transaction."""
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="killed")

    runs.wait_for_task(run, "provision.emr", "deferred")
    runs.wait_for_cluster("EMR")
    triggerer = runs.component("triggerer")
    kill(triggerer)
    provision = runs.states(run)["provision.emr"]  # nothing polls now, so this is its state at the kill
    runs.wait_for_another("triggerer", than=triggerer)

    runs.wait_for_statement(run, "temperature")
    kill(runs.driver(run, "temperature"))

    runs.wait_for_task(run, "load.create_tables", "success")
    with runs.locked("factArrivetheUsa") as connection:
        process = runs.task_process(run, "load.load_window")
        runs.wait_for_a_blocked_statement(connection)
        kill(process)
    return end(runs, run, since, provision=provision)


@pytest.fixture(scope="module")
def killed_second(runs: LiveRuns, killed: Ended) -> Ended:
    return run_to_its_end(runs, "killed-second")


@pytest.fixture(scope="module")
def servers(runs: LiveRuns, killed_second: Ended) -> Ended:
    """A run with two kills in transform: the Livy server, and after its restart the scheduler."""
    runs.set_settings(s3={"processed": "s3://mayfly-sandbox/processed-elsewhere"})
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="servers")

    runs.wait_for_statement(run, "arrivals")
    livy = runs.livy_server()
    kill(livy)
    at_livys_death = runs.states(run)

    runs.wait_for_statement(run, "arrivals")  # in a session of the restarted server
    scheduler = runs.component("scheduler")
    kill(scheduler)
    at_schedulers_death = runs.states(run)
    runs.wait_for_another("scheduler", than=scheduler)
    return end(runs, run, since, livy=at_livys_death, scheduler=at_schedulers_death)


@pytest.fixture(scope="module")
def servers_second(runs: LiveRuns, servers: Ended) -> Ended:
    return run_to_its_end(runs, "servers-second")


def test_a_run_whose_emr_fails_to_bootstrap_fails_and_leaves_nothing(broken: Ended) -> None:
    assert (broken.state, broken.left) == ("failed", [])
    assert broken.called("elasticmapreduce.RunJobFlow") == 1


def test_the_tasks_log_has_emrs_reason(runs: LiveRuns, broken: Ended) -> None:
    log = runs.log(broken.run_id, "provision.emr")
    assert re.search(r"is (TERMINATING|TERMINATED_WITH_ERRORS), WAITING was expected", log), log
    assert BOOTSTRAP_REASON in log
    assert {name for name, state in runs.states(broken.run_id).items() if state == "failed"} == {
        "provision.emr",
        "verdict",
    }


def test_a_run_whose_processes_are_killed_succeeds_and_leaves_nothing(killed: Ended) -> None:
    assert (killed.state, killed.left) == ("success", [])


def test_after_a_killed_triggerer_the_run_uses_the_same_cluster(killed: Ended) -> None:
    assert killed.seen["provision"] == "deferred"
    assert killed.called("elasticmapreduce.RunJobFlow") == 1
    assert killed.called("redshift.RestoreFromClusterSnapshot") == 1


def test_after_a_killed_driver_only_its_job_is_recomputed(runs: LiveRuns, killed: Ended) -> None:
    made = {task: runs.sessions_made(killed.run_id, task) for task in TRANSFORM}
    assert made == {task: 2 if task == "transform.temperature" else 1 for task in TRANSFORM}
    log = runs.log(killed.run_id, "transform.temperature", try_number=1)
    assert re.search("Livy session .* is dead|Session isn't active", log), log[-2000:]
    assert not any(runs.result(killed.run_id, task)["reused"] for task in TRANSFORM)


def test_after_a_task_is_killed_in_its_transaction_the_data_is_loaded_exactly_once(
    runs: LiveRuns, killed: Ended
) -> None:
    assert "load.load_window" in killed.tried_again
    rows = runs.result(killed.run_id, "load.load_window")["tables"]
    written = runs.result(killed.run_id, "transform.arrivals")["written"]
    assert rows["factArrivetheUsa"]["rows"] == written > 0


def test_a_run_whose_livy_and_scheduler_are_killed_succeeds_and_leaves_nothing(servers: Ended) -> None:
    assert (servers.state, servers.left) == ("success", [])
    assert servers.called("elasticmapreduce.RunJobFlow") == 1


def test_a_session_lost_with_its_livy_server_is_replaced_by_the_same_try_of_the_task(
    runs: LiveRuns, servers: Ended
) -> None:
    assert servers.seen["livy"]["transform.arrivals"] == "deferred"
    assert "the poll failed and is repeated" in runs.log(servers.run_id, "transform.arrivals", try_number=1)
    made = {task: runs.sessions_made(servers.run_id, task) for task in TRANSFORM}
    assert made["transform.arrivals"] == 2
    assert set(made.values()) <= {1, 2}, "a job that was complete is not recomputed"
    assert not any(runs.result(servers.run_id, task)["reused"] for task in TRANSFORM)


def test_the_scheduler_was_killed_while_spark_was_running(servers: Ended) -> None:
    assert servers.seen["scheduler"]["transform.arrivals"] == "deferred"
    assert servers.seen["scheduler"]["load.load_window"] is None


@pytest.mark.parametrize("second", ["killed_second", "servers_second"])
def test_the_second_run_succeeds_without_emr_and_leaves_nothing(
    second: str, request: pytest.FixtureRequest
) -> None:
    run: Ended = request.getfixturevalue(second)
    assert (run.state, run.left) == ("success", [])
    assert run.called("elasticmapreduce.RunJobFlow") == 0


def test_all_runs_give_the_same_tables(
    killed: Ended, killed_second: Ended, servers: Ended, servers_second: Ended
) -> None:
    assert killed.tables == killed_second.tables == servers.tables == servers_second.tables
    assert {row[0]: row[1] for row in killed.tables or ()}["factArrivetheUsa"] > 1000
