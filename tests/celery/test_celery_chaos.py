"""Faults under Celery that take long, or that `test_celery_runs.py` has in one phase only: `make test-celery`.

After each, the run is green, nothing is left, and the tables equal those of an undisturbed run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from ended_runs import Ended, end, run_to_its_end
from live_celery import LOAD, LiveCelery, celery_with_source
from live_processes import kill, kill_tree, suspended

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]

SCHEDULER_GONE_S = 120
RUN_JOB_FLOW = "elasticmapreduce.RunJobFlow"


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCelery]:
    yield from celery_with_source(tmp_path_factory.mktemp("celery-chaos") / "home")


@pytest.fixture(scope="module")
def clean(celery: LiveCelery) -> Ended:
    """An undisturbed run; those that follow reuse Spark's output, unless they say otherwise."""
    ended = run_to_its_end(celery.runs, "clean")
    assert (ended.state, ended.left) == ("success", [])
    return ended


@pytest.fixture(autouse=True)
def _as_before(celery: LiveCelery, clean: Ended) -> Iterator[None]:
    celery.runs.set_settings()
    yield
    celery.runs.control("DELETE", "faults")


def recompute(celery: LiveCelery, name: str) -> None:
    """Change the location of Spark's output, so that the next run has to compute all of it."""
    celery.runs.set_settings(s3={"processed": f"s3://mayfly-sandbox/processed-{name}"})


def check_green(celery: LiveCelery, ended: Ended, clean: Ended, *, clusters: int) -> None:
    assert (ended.state, ended.left) == ("success", []), celery.runs.describe(ended.run_id)
    assert ended.called(RUN_JOB_FLOW) == clusters
    assert ended.tables == clean.tables


# Of each phase a task, what comes just before it, and the call of it that is answered late, so that it still runs.
LATE = {
    "provision.emr": ("provision.lease", "elasticmapreduce", "RunJobFlow"),
    "transform.release_emr": ("load.create_tables", "elasticmapreduce", "TerminateJobFlows"),
    "verify.dimTourist": (LOAD, "redshift", "GetClusterCredentials"),
    "release.release_warehouse": ("verify.dimTourist", "redshift", "DeleteCluster"),
}


@contextlib.contextmanager
def running(celery: LiveCelery, run_id: str, task: str) -> Iterator[str]:
    """The task is still running in the body; yields the name of its worker."""
    if task == LOAD:
        with celery.blocked_load(run_id) as worker:
            yield worker
        return
    before, service, action = LATE[task]
    celery.runs.wait_for_task(run_id, before, "success")
    late = {"service": service, "action": action, "kind": "delay", "delay_s": 20, "times": 2}
    celery.runs.control("POST", "faults", late)
    yield celery.worker_of(run_id, task)
    celery.runs.control("DELETE", "faults")


def test_a_worker_killed_in_each_phase(celery: LiveCelery, clean: Ended) -> None:
    recompute(celery, "workers")
    since = celery.runs.account.calls_so_far()
    run = celery.runs.trigger(run_id="workers")
    tasks = ("provision.emr", "transform.release_emr", LOAD, "verify.dimTourist", "release.release_warehouse")
    for task in tasks:
        with running(celery, run, task) as worker:
            kill_tree(celery.worker(worker))
    check_green(celery, end(celery.runs, run, since), clean, clusters=1)


def test_one_of_two_workers_gone_for_good(celery: LiveCelery, clean: Ended) -> None:
    """The other one takes its task over, once Airflow has missed its heartbeats, and does all that follows."""
    since = celery.runs.account.calls_so_far()
    run = celery.runs.trigger(run_id="alone")
    with celery.blocked_load(run) as lost:
        process = celery.worker(lost)
        stack = contextlib.ExitStack()
        stack.enter_context(suspended(celery.runs.processes.supervisor, with_descendants=False))
        kill_tree(process)
    with stack:
        ended = end(celery.runs, run, since)
    assert LOAD in ended.tried_again
    assert celery.runs.task(run, LOAD).host != lost
    check_green(celery, ended, clean, clusters=0)


@pytest.mark.parametrize("task", ["transform", LOAD, "release.release_warehouse"])
def test_the_broker_killed_in_other_phases(celery: LiveCelery, clean: Ended, task: str) -> None:
    name = f"broker-{task.partition('.')[0]}"
    if task == "transform":
        recompute(celery, name)
    since = celery.runs.account.calls_so_far()
    run = celery.runs.trigger(run_id=name)
    if task == "transform":
        celery.runs.wait_for_statement(run, "arrivals")
        celery.restart_broker()
    else:
        with running(celery, run, task):
            celery.restart_broker()
    check_green(celery, end(celery.runs, run, since), clean, clusters=int(task == "transform"))


def test_the_database_killed_while_spark_and_the_release_are_waited_for(
    celery: LiveCelery, clean: Ended
) -> None:
    recompute(celery, "database")
    since = celery.runs.account.calls_so_far()
    run = celery.runs.trigger(run_id="database")
    celery.runs.wait_for_statement(run, "arrivals")
    celery.restart_database()
    celery.runs.wait_for_task(run, "release.release_warehouse", "running", "deferred", "success")
    celery.restart_database()
    check_green(celery, end(celery.runs, run, since), clean, clusters=1)


def test_the_result_backend_out_of_reach_from_the_start(celery: LiveCelery, clean: Ended) -> None:
    since = celery.runs.account.calls_so_far()
    with celery.results_out_of_reach(30):
        run = celery.runs.trigger(run_id="results")
        celery.runs.wait_for_task(run, "plan", "running", "success", "queued")
    check_green(celery, end(celery.runs, run, since), clean, clusters=0)


def test_the_scheduler_gone_for_two_minutes(celery: LiveCelery, clean: Ended) -> None:
    recompute(celery, "scheduler")
    since = celery.runs.account.calls_so_far()
    run = celery.runs.trigger(run_id="scheduler")
    celery.runs.wait_for_statement(run, "arrivals")
    with celery.gone(celery.runs.component("scheduler"), for_s=SCHEDULER_GONE_S):
        pass
    check_green(celery, end(celery.runs, run, since), clean, clusters=1)


def test_the_triggerer_killed_in_provision_and_a_second_one_takes_over(
    celery: LiveCelery, clean: Ended
) -> None:
    recompute(celery, "triggerer")
    since = celery.runs.account.calls_so_far()
    with celery.another_triggerer():
        run = celery.runs.trigger(run_id="triggerer")
        celery.runs.wait_for_task(run, "provision.emr", "deferred")
        first = celery.runs.component("triggerer")
        kill(first)
        ended = end(celery.runs, run, since)
    check_green(celery, ended, clean, clusters=1)
