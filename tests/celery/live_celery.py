"""A running sandbox with Celery workers, and what can be done to them, their broker and their database."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
from ended_runs import sandbox_with_source
from live_processes import kill, suspended
from live_runs import LiveRuns
from sandbox_process import ROOT, wait_until

from sandbox.airflow.celery import RESULTS
from sandbox.processes import Child

WORKERS = ("w1", "w2")
SHORT_DAGS = ROOT / "tests" / "sandbox" / "short_dags"
LOAD = "load.load_window"
TABLE = "factArrivetheUsa"
_DEADLINE_S = 240.0


class LiveCelery:
    """The runs of a sandbox with two workers, and its processes."""

    def __init__(self, runs: LiveRuns) -> None:
        self.runs = runs
        self._host = runs.account.aws_url.partition("//")[2].partition(":")[0]

    def worker(self, name: str) -> psutil.Process:
        """The main process of the worker w1 or w2."""
        return self._process(lambda: self.runs.processes.celery_worker(name), f"the worker {name}")

    def broker(self) -> psutil.Process:
        return self._process(self.runs.processes.rabbitmq, "RabbitMQ")

    def database(self) -> psutil.Process:
        return self._process(self.runs.processes.postgres, "Airflow's PostgreSQL")

    def worker_of(self, run_id: str, task_id: str) -> str:
        """The name of the worker that runs the task now."""
        host = self.runs.wait_for_task(run_id, task_id, "running").host
        assert host in WORKERS, host
        return host

    def wait_for_output(self, text: str, times: int = 1) -> None:
        """Wait until the sandbox has printed the text this often."""
        wait_until(lambda: self.runs.sandbox.output.count(text) >= times, repr(text), _DEADLINE_S)

    def worker_logs(self) -> str:
        """What both workers wrote."""
        logs = self.runs.sandbox.home / "airflow" / "logs"
        return "".join((logs / f"worker-{name}.log").read_text(errors="replace") for name in WORKERS)

    def wait_for_workers_to_say(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.worker_logs().count(text) >= times, f"workers to say {text!r}", _DEADLINE_S)

    def restart_broker(self) -> None:
        """Kill it, and return once the supervisor has started another one."""
        before = self.runs.sandbox.output.count("The RabbitMQ was restarted")
        kill(self.broker())
        self.wait_for_output("The RabbitMQ was restarted", before + 1)

    def restart_database(self) -> None:
        before = self.runs.sandbox.output.count("The PostgreSQL was restarted")
        kill(self.database())
        self.wait_for_output("The PostgreSQL was restarted", before + 1)

    @contextlib.contextmanager
    def results_out_of_reach(self, for_s: float) -> Iterator[None]:
        """Let nobody connect to the result backend for at least this long, and cut the connections that there are."""
        address = {"host": self._host, "port": 5432, "user": "airflow"}
        with contextlib.closing(psycopg2.connect(**address, dbname="postgres")) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(f"ALTER DATABASE {RESULTS} ALLOW_CONNECTIONS false")
            until = time.monotonic() + for_s
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (RESULTS,)
            )
            try:
                yield
                time.sleep(max(0.0, until - time.monotonic()))
            finally:
                cursor.execute(f"ALTER DATABASE {RESULTS} ALLOW_CONNECTIONS true")

    @contextlib.contextmanager
    def gone(self, process: psutil.Process, for_s: float = 0.0) -> Iterator[None]:
        """Kill a component, and let nothing restart it until the body has ended and this time has passed."""
        with suspended(self.runs.processes.supervisor, with_descendants=False):
            until = time.monotonic() + for_s
            kill(process)
            yield
            time.sleep(max(0.0, until - time.monotonic()))

    @contextlib.contextmanager
    def another_triggerer(self) -> Iterator[None]:
        """A second triggerer beside the sandbox's own, as a second host would run it."""
        first = self.runs.component("triggerer")
        log = self.runs.sandbox.home / "airflow" / "logs" / "triggerer-2.log"
        command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
        child = Child(command, name="triggerer 2", log=log, environment=environment_of(first), cwd=log.parent)
        try:
            wait_until(
                lambda: "triggers currently running" in child.log_tail(200),
                "the second triggerer",
                _DEADLINE_S,
            )
            yield
        finally:
            child.stop()

    @contextlib.contextmanager
    def blocked_load(self, run_id: str) -> Iterator[str]:
        """The run's load waits in the middle of its transaction in the body; yields the name of its worker."""
        self.runs.wait_for_task(run_id, "load.create_tables", "success")
        with self.runs.locked(TABLE) as connection:
            worker = self.worker_of(run_id, LOAD)
            self.runs.wait_for_a_blocked_statement(connection)
            yield worker

    @staticmethod
    def _process(find: object, what: str) -> psutil.Process:
        assert callable(find)
        wait_until(lambda: find() is not None, what, _DEADLINE_S)
        found = find()
        assert isinstance(found, psutil.Process)
        return found


def environment_of(process: psutil.Process) -> dict[str, str]:
    """The environment that a component was started with: that of its guard, since it may overwrite its own."""
    guard = process.parent()
    assert guard is not None
    return guard.environ()


def celery_with_source(home: Path) -> Iterator[LiveCelery]:
    """The body of a module's fixture: a running sandbox with two Celery workers and generated source files."""
    options = ("--celery", "--workers", str(len(WORKERS)))
    for runs in sandbox_with_source(home, *options, dags=SHORT_DAGS):
        yield LiveCelery(runs)
