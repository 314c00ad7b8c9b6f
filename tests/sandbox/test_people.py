"""Each action of people on runs, once in real Airflow; and three runs that overlap.

One sandbox, runs in order, all of the same three days, so the tables are the same after each. The first run has the
actions that a run survives, the second is a backfill of its days, the others are ended by an action.
docs/lifecycle.md describes the effect of each action in each phase, and
tests/unit/airflow_lib/steps/test_human_actions.py tests it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ended_runs import Ended, end, sandbox_with_source
from live_people import People
from live_runs import DAG, LiveRuns
from sandbox_process import wait_until

from airflow_lib.naming import run_key
from bench.airflow_ui import AirflowUi, find_chromium, opened
from sandbox.state import Running

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]

DAYS = ("2016-04-01", "2016-04-04")
LEASE_S = 60  # the minimum that the settings allow, so that the janitor may act soon
_KILLED_S = 60  # Airflow kills a task's process at its next heartbeat
Json = dict[str, Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRuns]:
    home = tmp_path_factory.mktemp("people") / "home"
    yield from sandbox_with_source(home, dags=Path(__file__).parent / "short_dags")


@pytest.fixture(scope="module")
def people(runs: LiveRuns) -> People:
    return People(runs)


@pytest.fixture(scope="module")
def ui(runs: LiveRuns) -> Iterator[AirflowUi]:
    running = Running(**json.loads((runs.sandbox.home / "running.json").read_text()))
    with opened(str(running.airflow_url), str(running.user), str(running.password)) as browser:
        yield browser


@pytest.fixture(scope="module")
def disturbed(runs: LiveRuns, people: People) -> Ended:
    """A run whose DAG is paused in provision; a task is cleared in transform, and the whole run in load."""
    since = runs.account.calls_so_far()
    runs.control("POST", "delays", {"emr_s": 5})  # so that the DAG is paused before the cluster is ready
    run = runs.trigger(DAYS, run_id="disturbed")

    runs.wait_for_task(run, "provision.emr", "deferred")
    people.pause()
    runs.control("POST", "delays", {"emr_s": 1.5})
    runs.wait_for_task(
        run, "provision.emr", "scheduled"
    )  # its trigger fired, but a paused DAG's task is not resumed
    time.sleep(3)
    paused = runs.states(run)
    people.pause(False)

    runs.wait_for_statement(run, "cities")
    cleared = people.clear_task(run, "transform.cities")
    runs.wait_for_try(run, "transform.cities", 2)

    runs.wait_for_task(run, "load.create_tables", "success")
    with runs.locked("factArrivetheUsa") as connection:
        runs.wait_for_a_blocked_statement(connection)
        tries, load = runs.tries(run), runs.task_process(run, "load.load_window")
        people.clear_run(run)
        load.wait(_KILLED_S)
    return end(runs, run, since, paused=paused, cleared=cleared, tries=tries)


@pytest.fixture(scope="module")
def backfill(runs: LiveRuns, people: People, disturbed: Ended) -> Json:
    """A backfill of four days, three at a time, cancelled while those three hold their leases.

    Spark's output has another location, so that they have everything to compute, and the runs after them to load.
    """
    runs.set_settings(s3={"processed": "s3://mayfly-sandbox/processed-backfill"})
    since = runs.account.calls_so_far()
    backfill_id = people.backfill("2016-04-01", "2016-04-04", max_active_runs=3)
    wait_until(lambda: len(people.run_ids("backfill")) == 4, "four runs")
    *running, waiting = people.run_ids("backfill")
    for run in running:
        runs.wait_for_task(run, "provision.lease", "success")
    queued = runs.run_state(waiting)
    people.cancel_backfill(backfill_id)
    return {
        "before": queued,
        "states": [runs.wait_for_run(run) for run in running],
        "cancelled": runs.run_state(waiting),
        "tasks of the cancelled run": {state for state in runs.states(waiting).values() if state is not None},
        "calls": runs.calls(since),
        "left": runs.left(),
        "tables": runs.tables(),
    }


@pytest.fixture(scope="module")
def run_failed(runs: LiveRuns, people: People, backfill: Json) -> Ended:
    """A run that is marked failed while its warehouse is being created."""
    runs.set_settings()
    since = runs.account.calls_so_far()
    run = runs.trigger(DAYS, run_id="run-failed")
    runs.wait_for_task(run, "provision.warehouse", "deferred")
    runs.wait_for_cluster("Redshift")  # which is refused at first: its role is not seen yet
    people.mark_run(run, "failed")
    return end(runs, run, since)


@pytest.fixture(scope="module")
def task_failed(runs: LiveRuns, people: People, run_failed: Ended) -> Ended:
    """The same run, cleared; then its load task is marked failed in the middle of the transaction."""
    since = runs.account.calls_so_far()
    run = run_failed.run_id
    people.clear_run(run)
    runs.wait_for_task(run, "load.create_tables", "success")
    with runs.locked("factArrivetheUsa") as connection:
        runs.wait_for_a_blocked_statement(connection)
        load = runs.task_process(run, "load.load_window")
        people.mark_task(run, "load.load_window", "failed")
        load.wait(_KILLED_S)
    return end(runs, run, since)


@pytest.fixture(scope="module")
def deleted(runs: LiveRuns, people: People, task_failed: Ended) -> Json:
    """A run that is deleted while its warehouse is being created, which Airflow allows once it is marked queued."""
    runs.set_settings(lease_s=LEASE_S)
    run = runs.trigger(DAYS, run_id="deleted")
    runs.wait_for_task(run, "provision.warehouse", "deferred")
    runs.wait_for_cluster("Redshift")  # which is refused at first: its role is not seen yet
    people.pause()
    refused = people.try_to_delete(run)
    people.mark_run(run, "queued")
    people.delete_run(run)
    held = runs.left()
    wait_until(lambda: _leases_are_over(runs.register()), "the end of the lease")
    return {
        "refused": refused,
        "known": people.has_run(run),
        "held": held,
        "after the lease": runs.left(),
        "first": _janitor_run(runs),
        "left": runs.left(),
        "second": _janitor_run(runs),
    }


@pytest.fixture(scope="module")
def never_began(runs: LiveRuns, people: People, deleted: Json) -> Json:
    """A run that is marked failed while its DAG is paused, before any of its tasks ran."""
    run = people.trigger("never-began", DAYS)
    people.mark_run(run, "failed")
    people.pause(False)
    return {"state": runs.wait_for_run(run), "tasks": set(runs.states(run).values())}


@pytest.fixture(scope="module")
def last(runs: LiveRuns, never_began: Json) -> Ended:
    runs.set_settings()
    since = runs.account.calls_so_far()
    return end(runs, runs.trigger(DAYS, run_id="last"), since)


def _leases_are_over(register: Json) -> bool:
    now = datetime.now(UTC)
    return all(
        datetime.fromisoformat(lease["until"]) < now
        for slot in ("emr", "warehouse")
        for lease in register[slot]["leases"]
    )


def _janitor_run(runs: LiveRuns) -> Json:
    """Run the janitor's DAG; returns its state, and what it found."""
    run = runs.airflow.trigger("janitor", {})
    state: list[str] = []

    def over() -> bool:
        state[:] = [str(runs.airflow.run("janitor", run)["state"])]
        return state[0] in ("success", "failed")

    wait_until(over, "the janitor's run")
    (task,) = runs.airflow.tasks("janitor", run)
    return {"state": state[0], "result": runs.airflow.result("janitor", run, task)}


def test_a_paused_dag_starts_no_tasks_and_continues_when_it_is_unpaused(disturbed: Ended) -> None:
    paused = disturbed.seen["paused"]
    assert paused["provision.emr"] == "scheduled"
    assert {paused["transform.arrivals"], paused["load.create_tables"]} == {None}


def test_clearing_a_task_also_clears_its_setups_and_teardowns_and_its_session_is_replaced(
    runs: LiveRuns, disturbed: Ended
) -> None:
    assert {"provision.lease", "provision.emr", "transform.release_emr"} <= disturbed.seen["cleared"]
    assert "transform.arrivals" not in disturbed.seen["cleared"]
    assert "created:" in runs.log(disturbed.run_id, "transform.cities", try_number=2)


def test_a_cleared_task_and_run_are_given_their_whole_time_again(runs: LiveRuns, disturbed: Ended) -> None:
    """Airflow raises `max_tries`, which names the record of a task's deadline."""
    folder = f"logs/{DAG}/runs/{run_key(disturbed.run_id)}/waits"
    kept = {n for n in range(9) if runs.account.read_text(f"{folder}/RunJob-cities-{n}.json") is not None}
    assert min(kept) == 2  # what Airflow allowed at first
    assert len(kept) >= 2


def test_a_cleared_run_starts_again_and_succeeds(runs: LiveRuns, disturbed: Ended) -> None:
    before = disturbed.seen["tries"]
    began = {task for task, tries in before.items() if tries}
    assert all(disturbed.tries[task] > before[task] for task in began), (before, disturbed.tries)
    assert (disturbed.state, disturbed.left) == ("success", [])
    assert runs.result(disturbed.run_id, "transform.arrivals")["reused"]


def test_the_disturbed_run_created_one_cluster_of_each_kind(disturbed: Ended) -> None:
    assert disturbed.called("elasticmapreduce.RunJobFlow") == disturbed.called("redshift.CreateCluster") == 1
    assert disturbed.called("redshift.RestoreFromClusterSnapshot") == 0


def test_overlapping_runs_share_one_cluster_of_each_kind_and_leave_nothing(backfill: Json) -> None:
    assert backfill["states"] == ["success"] * 3
    assert backfill["calls"]["elasticmapreduce.RunJobFlow"] == 1
    made = ("redshift.CreateCluster", "redshift.RestoreFromClusterSnapshot")
    assert sum(backfill["calls"].get(call, 0) for call in made) == 1
    assert backfill["left"] == []


def test_days_loaded_by_concurrent_runs_give_the_tables_of_the_whole_window(
    disturbed: Ended, backfill: Json
) -> None:
    assert backfill["tables"] == disturbed.tables
    assert {row[0]: row[1] for row in backfill["tables"]}["factArrivetheUsa"] > 100


def test_cancelling_a_backfill_fails_queued_runs_and_does_not_end_running_ones(backfill: Json) -> None:
    assert (backfill["before"], backfill["cancelled"]) == ("queued", "failed")
    assert backfill["tasks of the cancelled run"] == set()


def test_a_run_marked_failed_fails_and_its_teardowns_leave_nothing(runs: LiveRuns, run_failed: Ended) -> None:
    assert (run_failed.state, run_failed.left) == ("failed", [])
    assert run_failed.called("redshift.DeleteCluster") >= 1


def test_a_task_marked_failed_is_killed_and_the_run_fails_and_leaves_nothing(
    runs: LiveRuns, task_failed: Ended
) -> None:
    assert (task_failed.state, task_failed.left) == ("failed", [])
    assert "committed" not in runs.log(task_failed.run_id, "load.load_window")


def test_a_running_run_cannot_be_deleted(deleted: Json) -> None:
    assert "cannot be deleted in running state" in deleted["refused"]


def test_the_janitors_dag_deletes_a_deleted_runs_resources_after_its_lease_expired(
    deleted: Json,
) -> None:
    assert not deleted["known"]
    assert any("Redshift cluster" in item for item in deleted["held"])
    assert any("Redshift cluster" in item for item in deleted["after the lease"])
    assert deleted["first"]["state"] == "success"
    assert any(
        "lease of deleted expired" in line
        for line in deleted["first"]["result"]["found"]["sandbox-immigration"]
    )
    assert deleted["left"] == []


def test_the_janitors_dag_finds_nothing_if_nothing_is_left(deleted: Json) -> None:
    assert deleted["second"] == {"state": "success", "result": {"environments": 1, "found": {}}}


def test_airflow_calls_a_run_a_success_that_was_marked_failed_before_its_first_task(
    never_began: Json,
) -> None:
    assert never_began == {"state": "success", "tasks": {"skipped"}}


def test_after_all_actions_a_run_succeeds_with_the_same_tables(disturbed: Ended, last: Ended) -> None:
    assert (last.state, last.left) == ("success", [])
    assert last.tables == disturbed.tables


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: Airflow's UI is not looked at")
def test_the_trigger_form_has_date_pickers_and_refuses_a_reversed_window_before_there_is_a_run(
    runs: LiveRuns, people: People, last: Ended, ui: AirflowUi
) -> None:
    before = people.run_ids("manual")
    ui.open_trigger_form(DAG)
    assert [ui.input_type(name) for name in ("window_start", "window_end")] == ["date", "date"]
    ui.trigger("2016-04-08", "2016-04-01")
    ui.wait_for_text("swap the two")
    assert people.run_ids("manual") == before


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: Airflow's UI is not looked at")
def test_a_tasks_page_shows_what_it_is_the_sql_that_ran_and_where_else_to_look(
    runs: LiveRuns, last: Ended, ui: AirflowUi
) -> None:
    run = (DAG, last.run_id)
    ui.open_task(run, "load.load_window", "COMMIT", tab="rendered_templates")
    shown = ui.text()
    assert "Load transaction" in shown
    for file in ("shared/lock_loads.sql", "immigration/load/factArrivetheUsa.sql", "shared/write_ledger.sql"):
        assert f"-- sql_templates/{file}" in shown

    ui.open_task(run, "transform.arrivals", "Extra Links", tab="details")
    assert "Livy session" in ui.text()
    links = ui.links()
    assert links["Output in S3"].startswith("https://console.aws.amazon.com/s3/buckets/mayfly-sandbox?")
    assert links["Run report"].endswith(f"{run_key(last.run_id)}%2Freport.html")

    ui.open_task(run, "load.load_window", "Extra Links", tab="details")
    assert "cluster=mayfly-sandbox-immigration-warehouse-g" in ui.links()["Redshift console"]
