"""Runs of the immigration pipeline in two Celery workers, while workers, broker, database and others fail.

One sandbox, three runs in order, all of April, each with a day more than the one before, so that each has something to
load. The first computes with Spark; the others reuse its output. `test_celery_chaos.py` has the other faults.
"""

from __future__ import annotations

import contextlib
import ipaddress
import signal
from collections.abc import Iterator

import psutil
import pytest
from ended_runs import Ended, end
from live_celery import LOAD, TABLE, WORKERS, LiveCelery, celery_with_source, environment_of
from live_processes import kill_tree
from live_runs import JOBS
from sandbox_process import wait_until

from sandbox.account import BUCKET
from sandbox.airflow.celery import LOG_PREFIX

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1800)]

RESULTS_GONE_S = 30
SCHEDULER_GONE_S = 20
TRANSFORM = {f"transform.{job}" for job in JOBS}


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCelery]:
    yield from celery_with_source(tmp_path_factory.mktemp("celery") / "home")


@pytest.fixture(scope="module")
def lost(celery: LiveCelery) -> Ended:
    """A run that loses its triggerer to a second one in transform, and the load's worker by kill -9."""
    runs = celery.runs
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="lost")
    runs.wait_for_statement(run, "arrivals")
    with celery.another_triggerer():
        with celery.gone(runs.component("triggerer")):
            at_triggerers_death = runs.states(run)
            runs.wait_for_task(run, "transform.arrivals", "success")
        with celery.blocked_load(run) as worker:
            kill_tree(celery.worker(worker))
        return end(runs, run, since, killed=worker, transform=at_triggerers_death)


@pytest.fixture(scope="module")
def twice(celery: LiveCelery, lost: Ended) -> Ended:
    """A run whose broker is killed under a running load, and whose result backend is away when that ends."""
    runs = celery.runs
    since = runs.account.calls_so_far()
    run = runs.trigger(run_id="twice")
    ignored = celery.worker_logs().count(IGNORED)
    with contextlib.ExitStack() as after_the_load:
        with celery.blocked_load(run):
            celery.restart_broker()
            celery.wait_for_workers_to_say(IGNORED, ignored + 1)
            still = runs.task(run, LOAD)
            after_the_load.enter_context(celery.results_out_of_reach(RESULTS_GONE_S))
        runs.wait_for_task(run, LOAD, "success")
    return end(runs, run, since, still=still.state)


@pytest.fixture(scope="module")
def warm(celery: LiveCelery, twice: Ended) -> Ended:
    """A run with a warm shutdown of the worker that copies; then the database is killed, and the scheduler for 20 s."""
    runs = celery.runs
    since = runs.account.calls_so_far()
    runs.control("POST", "faults", SLOW_COPY)
    run = runs.trigger(run_id="warm")
    worker = celery.worker_of(run, COPY)
    process = celery.worker(worker)
    process.send_signal(signal.SIGTERM)
    celery.wait_for_workers_to_say("Warm shutdown")
    copying = runs.task(run, COPY)
    celery.wait_for_output(f"The airflow worker {worker} ended with code 0")
    copied = runs.task(run, COPY)
    runs.control("DELETE", "faults")
    with celery.blocked_load(run):
        celery.restart_database()
        scheduler = runs.component("scheduler")
        with celery.gone(scheduler, for_s=SCHEDULER_GONE_S):
            pass
        runs.wait_for_another("scheduler", than=scheduler)
    return end(runs, run, since, copying=copying.state, copied=copied.state, tries=copied.try_number)


IGNORED = "ignoring redelivered message"
COPY = "load.staging_landtemp"
# Each file that COPY reads comes late, so that it is still copying when its worker is told to stop.
SLOW_COPY = {
    "service": "s3",
    "action": "GetObject",
    "kind": "delay",
    "delay_s": 10,
    "match": "/temperature/",
    "times": None,
}


def test_everything_listens_on_loopback_only(celery: LiveCelery) -> None:
    listening = {
        connection.laddr
        for process in celery.runs.sandbox.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.port for address in listening} >= {8080, 5432, 5566, 5672}
    assert [address for address in listening if not ipaddress.ip_address(address.ip).is_loopback] == []


def test_workers_share_no_home_and_no_working_directory(celery: LiveCelery) -> None:
    workers = [celery.worker(name) for name in WORKERS]
    scheduler = celery.runs.component("scheduler")
    assert len({one.cwd() for one in (*workers, scheduler)}) == 3
    assert len({environment_of(one)["AIRFLOW_HOME"] for one in (*workers, scheduler)}) == 3


def test_a_run_that_loses_a_worker_and_a_triggerer_succeeds_and_leaves_nothing(lost: Ended) -> None:
    assert (lost.state, lost.left) == ("success", [])
    assert lost.called("elasticmapreduce.RunJobFlow") == 1
    assert lost.called("redshift.DeleteCluster") == 1


def test_a_second_triggerer_goes_on_where_the_first_was_killed(celery: LiveCelery, lost: Ended) -> None:
    assert lost.seen["transform"]["transform.arrivals"] == "deferred"
    assert {task: celery.runs.sessions_made(lost.run_id, task) for task in TRANSFORM} == dict.fromkeys(
        TRANSFORM, 1
    )


def test_a_load_whose_worker_was_killed_is_tried_again_and_loaded_once(
    celery: LiveCelery, lost: Ended
) -> None:
    assert LOAD in lost.tried_again
    rows = celery.runs.result(lost.run_id, LOAD)["tables"]
    written = celery.runs.result(lost.run_id, "transform.arrivals")["written"]
    assert rows[TABLE]["rows"] == written > 0


def test_the_logs_of_tasks_come_from_s3_whichever_worker_ran_them(celery: LiveCelery, lost: Ended) -> None:
    hosts = {task.host for task in celery.runs.tasks(lost.run_id).values() if task.host}
    assert hosts == set(WORKERS)
    for task in (COPY, "provision.emr"):
        log = celery.runs.log(lost.run_id, task).splitlines()
        assert any(line.startswith(f"s3://{BUCKET}/{LOG_PREFIX}/") for line in log), log[:5]
        assert any("Post Execute" in line for line in log), log[-5:]


def test_a_broker_that_is_restarted_delivers_a_running_task_twice_and_it_runs_once(twice: Ended) -> None:
    assert (twice.state, twice.left) == ("success", [])
    assert twice.seen["still"] == "running"
    assert LOAD not in twice.tried_again


def test_a_worker_that_is_shut_down_warmly_ends_its_copy_first(warm: Ended) -> None:
    assert (warm.state, warm.left) == ("success", [])
    assert warm.seen["copying"] == "running"
    assert (warm.seen["copied"], warm.seen["tries"]) == ("success", 1)


@pytest.mark.parametrize("later", ["twice", "warm"])
def test_later_runs_need_no_emr(later: str, request: pytest.FixtureRequest) -> None:
    run: Ended = request.getfixturevalue(later)
    assert run.called("elasticmapreduce.RunJobFlow") == 0


def test_all_runs_give_the_same_tables(lost: Ended, twice: Ended, warm: Ended) -> None:
    assert lost.tables == twice.tables == warm.tables
    assert {row[0]: row[1] for row in lost.tables or ()}[TABLE] > 1000


def test_with_the_sandbox_workers_and_broker_end(celery: LiveCelery, warm: Ended) -> None:
    celery.runs.processes.supervisor.kill()
    wait_until(lambda: celery.runs.sandbox.processes() == [], "the end of every process", 60)
