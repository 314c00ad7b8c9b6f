"""Kills every process in every phase in which it has work, and injects long-lasting AWS faults: `make chaos`.

`test_kills.py` has the kills that are in `make test`; here are the others. Some combinations do not exist: nothing
is deferred in load and verify, so the triggerer has no work there; Livy exists only while EMR does, and drivers
only in transform.

After each test no resources are left, the run has the expected state, and a second run succeeds without EMR and
gives the same tables as an undisturbed run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ended_runs import Ended, end, run_to_its_end, sandbox_with_source
from live_processes import kill, kill_tree, suspended
from live_runs import JOBS, LiveRuns

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

TRANSFORM = {f"transform.{job}" for job in JOBS}
RUN_JOB_FLOW = "elasticmapreduce.RunJobFlow"
SHORT_LEASE_S = 60  # the minimum that the settings allow
DEADLINE_S = 300.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRuns]:
    home = tmp_path_factory.mktemp("chaos") / "home"
    yield from sandbox_with_source(home, dags=Path(__file__).parent / "short_dags")


@pytest.fixture(scope="module")
def clean(runs: LiveRuns) -> Ended:
    """An undisturbed run."""
    ended = run_to_its_end(runs, "clean")
    assert (ended.state, ended.left) == ("success", [])
    return ended


@pytest.fixture(autouse=True)
def _as_before(runs: LiveRuns, clean: Ended) -> Iterator[None]:
    """Each test starts with the default settings, faults and delays."""
    runs.set_settings()
    yield
    runs.control("DELETE", "faults")
    runs.control("POST", "delays", {"redshift_s": 1})


def recompute(runs: LiveRuns, name: str, **settings: Any) -> None:
    """Change the location of Spark's output, so that the next run has to compute all of it."""
    runs.set_settings(s3={"processed": f"s3://mayfly-sandbox/processed-{name}"}, **settings)


def check_second_run(runs: LiveRuns, first: Ended, clean: Ended) -> None:
    second = run_to_its_end(runs, f"{first.run_id}-second")
    assert (second.state, second.left) == ("success", [])
    assert second.called(RUN_JOB_FLOW) == 0
    assert second.tables == clean.tables


def check_green(runs: LiveRuns, ended: Ended, clean: Ended, *, clusters: int) -> None:
    """Check that the run succeeded, created `clusters` EMR clusters and left nothing, and then the second run."""
    assert (ended.state, ended.left) == ("success", []), runs.describe(ended.run_id)
    assert ended.called(RUN_JOB_FLOW) == clusters
    assert ended.tables == clean.tables
    check_second_run(runs, ended, clean)


def clean_up(runs: LiveRuns) -> list[str]:
    """Run the janitor repeatedly, as cron does, until it finds nothing; returns the lines that it printed before."""
    found: list[str] = []
    deadline = time.monotonic() + DEADLINE_S
    while True:
        done = runs.janitor(lease_s=SHORT_LEASE_S)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        if done.returncode == 0 and not runs.left():
            return found
        found += done.stdout.splitlines()
        assert time.monotonic() < deadline, f"leftovers: {runs.left()}; the janitor found: {found}"
        time.sleep(5)


@contextlib.contextmanager
def delayed(runs: LiveRuns, run_id: str, phase: str) -> Iterator[str]:
    """Delay a task of the phase, so that it is still running in the body; yields the task's id."""
    if phase == "load":  # in the middle of its transaction
        runs.wait_for_task(run_id, "load.create_tables", "success")
        with runs.locked("factArrivetheUsa") as connection:
            runs.wait_for_task(run_id, "load.load_window", "running")
            runs.wait_for_a_blocked_statement(connection)
            yield "load.load_window"
        return
    before, action, task = {
        "verify": ("load.load_window", "GetClusterCredentials", "verify.dimTourist"),
        "release": ("verify.dimTourist", "DeleteCluster", "release.release_warehouse"),
    }[phase]
    runs.wait_for_task(run_id, before, "success")
    late = {"service": "redshift", "action": action, "kind": "delay", "delay_s": 15, "times": 2}
    runs.control("POST", "faults", late)
    runs.wait_for_task(run_id, task, "running")
    yield task


def test_a_task_killed_in_each_phase(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "tasks")
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="tasks")
    killed = {runs.kill_a_task(run, "provision."), runs.kill_a_task(run, "transform.")}
    for phase in ("load", "verify", "release"):
        with delayed(runs, run, phase) as task:
            killed.add(runs.kill_a_task(run, task))
    ended = end(runs, run, since)
    assert ended.tried_again >= killed
    check_green(runs, ended, clean, clusters=1)


def test_a_worker_killed_with_its_task_in_the_load(runs: LiveRuns, clean: Ended) -> None:
    """Nothing reports the death to Airflow: it notices the missing heartbeat."""
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="worker")
    with delayed(runs, run, "load") as name:
        worker = runs.processes.worker(runs.task_process(run, name))
        assert worker is not None
        kill_tree(worker)
    ended = end(runs, run, since)
    assert "load.load_window" in ended.tried_again
    check_green(runs, ended, clean, clusters=0)


def test_the_triggerer_killed_in_transform_and_release(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "triggerer")
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="triggerer")
    runs.wait_for_statement(run, "arrivals")
    first = runs.component("triggerer")
    kill(first)
    runs.wait_for_another("triggerer", than=first)
    runs.wait_for_task(run, "release.release_warehouse", "deferred")
    kill(runs.component("triggerer"))
    assert runs.states(run)["release.release_warehouse"] == "deferred"
    ended = end(runs, run, since)
    check_green(runs, ended, clean, clusters=1)


def kill_the_scheduler(runs: LiveRuns) -> None:
    scheduler = runs.component("scheduler")
    kill(scheduler)
    runs.wait_for_another("scheduler", than=scheduler)


def test_the_scheduler_killed_in_provision_load_verify_and_release(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "scheduler")
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="scheduler")
    runs.wait_for_task(run, "provision.emr", "running")
    kill_the_scheduler(runs)
    for phase in ("load", "verify", "release"):
        with delayed(runs, run, phase):
            kill_the_scheduler(runs)
    check_green(runs, end(runs, run, since), clean, clusters=1)


def test_every_driver_killed_at_once(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "drivers")
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="drivers")
    for driver in [runs.driver(run, job) for job in JOBS]:  # some are busy by then, some still starting
        kill(driver)
    ended = end(runs, run, since)
    assert {runs.sessions_made(run, task) for task in TRANSFORM} == {2}
    check_green(runs, ended, clean, clusters=1)


def test_livy_killed_before_provision_has_polled_it(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "livy-early")
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="livy-early")
    runs.wait_for_task(run, "provision.emr", "deferred")
    runs.wait_for_cluster("EMR")  # RunJobFlow is refused at first: its roles are not seen yet
    with suspended(
        runs.component("triggerer")
    ):  # nothing polls while the cluster starts and its Livy is killed
        runs.wait_for_emr_state("WAITING")
        kill(runs.livy_server())
        assert runs.states(run)["provision.emr"] == "deferred"
    ended = end(runs, run, since)
    check_green(runs, ended, clean, clusters=1)


def test_livy_killed_while_emr_is_released(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "livy-late")
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="livy-late")
    runs.control("POST", "faults", {**_DELAYED, "service": "elasticmapreduce", "action": "TerminateJobFlows"})
    runs.wait_for_task(run, "transform.release_emr", "running")
    kill(runs.livy_server())
    ended = end(runs, run, since)
    check_green(runs, ended, clean, clusters=1)


_DELAYED = {"kind": "delay", "delay_s": 10, "times": 1}


def test_a_redshift_far_slower_than_emr_does_not_keep_emr_running(runs: LiveRuns, clean: Ended) -> None:
    recompute(runs, "slow")
    runs.control("POST", "delays", {"redshift_s": 240})
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="slow")
    released = runs.wait_for_task(run, "transform.release_emr", "success")
    seen = runs.states(run)["provision.warehouse"]
    clusters = runs.live_clusters("EMR")
    runs.wait_for_task(run, "provision.warehouse", "success")
    runs.control("POST", "delays", {"redshift_s": 1})
    ended = end(runs, run, since)
    assert (seen, clusters) == ("deferred", []), "EMR is released before Redshift is available"
    assert released.end < runs.task(run, "provision.warehouse").end
    check_green(runs, ended, clean, clusters=1)


@pytest.mark.parametrize(
    ("service", "action", "kind"),
    [("redshift", "DeleteCluster", "Redshift cluster"), ("iam", "DeleteRole", "IAM role")],
)
def test_a_denied_delete_fails_the_run_and_is_named_and_the_janitor_deletes_it_once_allowed(
    runs: LiveRuns, clean: Ended, service: str, action: str, kind: str
) -> None:
    runs.set_settings(lease_s=SHORT_LEASE_S)
    runs.control(
        "POST", "faults", {"service": service, "action": action, "kind": "access_denied", "times": None}
    )
    since = runs.account.calls_so_far()
    ended = end(runs, runs.trigger(run_id=f"denied-{service}"), since)
    assert ended.state == "failed"
    (named,) = {item.split()[2] for item in ended.left if item.startswith(kind)}
    states = runs.states(ended.run_id)
    assert {name for name, state in states.items() if state == "failed"} == {
        "release.release_warehouse",
        "release.inventory",
        "verdict",
    }
    for task in ("release.release_warehouse", "release.inventory"):
        assert named in runs.log(ended.run_id, task), task

    runs.control("DELETE", "faults")
    assert clean_up(runs)
    check_second_run(runs, ended, clean)


def test_if_airflow_is_down_for_good_the_janitor_deletes_everything(runs: LiveRuns, clean: Ended) -> None:
    """If Airflow comes back after all, the run fails and changes nothing."""
    recompute(runs, "gone", lease_s=SHORT_LEASE_S)
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="gone")
    runs.wait_for_statement(run, "arrivals")
    with runs.no_airflow():
        assert runs.live_clusters("EMR")
        assert runs.live_clusters("Redshift")
        early = runs.janitor(lease_s=SHORT_LEASE_S)
        assert runs.live_clusters("EMR"), f"the janitor deleted it under a valid lease: {early.stdout}"
        assert clean_up(runs)
    ended = end(runs, run, since)
    assert (ended.state, ended.left) == ("failed", []), runs.describe(run)
    assert ended.called(RUN_JOB_FLOW) == 1
    recomputed = run_to_its_end(runs, "gone-second")  # Spark was interrupted, so it needs EMR
    assert (recomputed.state, recomputed.left, recomputed.tables) == ("success", [], clean.tables)
