"""Triggers and observes runs of the immigration pipeline in a running sandbox, from outside, as a person does.

    with sandbox.up():
        runs = LiveRuns(sandbox)
        runs.put_source()
        run = runs.trigger(APRIL)
        runs.wait_for_task(run, "transform.arrivals", "deferred")
        kill(runs.driver(run, "arrivals"))
        assert runs.wait_for_run(run) == "success"

Every wait has a deadline; when it passes, the message has the last state seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg2.extensions
import requests
from live_processes import LiveProcesses, kill, kill_tree, suspended
from sandbox_process import ROOT, SandboxProcess
from warehouse_content import read_content

from airflow_lib.janitor import SETTINGS_FILE
from airflow_lib.naming import Environment, session_name
from airflow_lib.spark.livy import LivyClient, LivyError
from airflow_lib.spark.livy_http import find_endpoint
from sandbox.account import DEPLOYMENT, Account, variables
from sandbox.addresses import LIVY_PORT
from sandbox.airflow.client import AirflowClient, TaskRun
from sandbox.data.immigration import generate
from sandbox.errors import SandboxError
from sandbox.inventory import leftovers, list_account
from sandbox.sql import connection_arguments
from sandbox.state import Running

Json = dict[str, Any]
Window = tuple[str, str]
Connection = psycopg2.extensions.connection
T = TypeVar("T")

DAG = "immigration"
APRIL = ("2016-04-01", "2016-05-01")
JOBS = ("arrivals", "cities", "temperature", "airports")
COMPONENTS = ("scheduler", "triggerer", "dag-processor", "api-server")
OVER = frozenset({"success", "failed"})

_ROWS = 2_000
_TASK_S = 360.0
_RUN_S = 720.0
_POLL_S = 0.2
_JANITOR_S = 300.0


class LiveRuns:
    """The runs of one running sandbox: inside `with sandbox.up()`, with the pipeline in its DAGs folder."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        running = Running(**json.loads((sandbox.home / "running.json").read_text()))
        assert running.airflow_url
        assert running.user
        assert running.password
        self.sandbox = sandbox
        self.login = (running.user, running.password)
        self.account = Account(running.aws_url)
        self.airflow = AirflowClient(running.airflow_url, running.user, running.password)
        self.processes = LiveProcesses(running.pid)
        self._http = requests.Session()
        self._http.trust_env = False
        self._days_more = 0

    # Input and settings

    def put_source(self, rows: int = _ROWS, seed: int = 1) -> None:
        """Replace the source files by generated ones; another seed changes every job's output."""
        with tempfile.TemporaryDirectory(prefix="mayfly-source-") as directory:
            generate(Path(directory), rows=rows, seed=seed)
            self.account.replace_source(DAG, Path(directory))

    def set_settings(self, **overrides: Any) -> None:
        """Set the Variable `mayfly` to the sandbox's own value with these keys replaced; nested objects are merged."""
        self.airflow.set_variable("mayfly", json.dumps(self.settings(**overrides)))

    def settings(self, **overrides: Any) -> Json:
        """The value that `set_settings` would set."""
        return _merge(json.loads(variables()["mayfly"]), overrides)

    # Runs and their tasks

    def trigger(self, window: Window | None = None, run_id: str | None = None, dag_id: str = DAG) -> str:
        """Trigger a run once Airflow has read the DAG; returns its id.

        Without a window the run is of April and a day more than the run before: the source has nothing of these days,
        but the warehouse holds no load of them yet, which would leave the run nothing to do.
        """
        self._wait(
            lambda: self.airflow.find_dag(dag_id), lambda dag: dag is not None, f"the DAG {dag_id}", _TASK_S
        )
        start, end = window or self._widen()
        return self.airflow.trigger(dag_id, {"window_start": start, "window_end": end}, run_id)

    def _widen(self) -> Window:
        start, end = APRIL
        self._days_more += 1
        return start, (date.fromisoformat(end) + timedelta(days=self._days_more)).isoformat()

    def wait_for_task(
        self, run_id: str, task_id: str, *states: str | None, deadline_s: float = _TASK_S
    ) -> TaskRun:
        """Wait until the task is in one of `states` (success, failed, running, deferred, up_for_retry, …)."""
        return self._wait(
            lambda: self.task(run_id, task_id),
            lambda task: task.state in states,
            f"{task_id} to be {' or '.join(map(str, states))}",
            deadline_s,
            lambda: self.describe(run_id),
        )

    def wait_for_try(self, run_id: str, task_id: str, number: int, deadline_s: float = _TASK_S) -> TaskRun:
        """Wait until the task's try with this number, or a later one, has begun."""
        return self._wait(
            lambda: self.task(run_id, task_id),
            lambda task: task.try_number >= number,
            f"try {number} of {task_id}",
            deadline_s,
            lambda: self.describe(run_id),
        )

    def wait_for_run(self, run_id: str, deadline_s: float = _RUN_S) -> str:
        """Wait for the run's end; returns its state, success or failed."""
        return self._wait(
            lambda: self.run_state(run_id),
            lambda state: state in OVER,
            f"the end of run {run_id}",
            deadline_s,
            lambda: self.describe(run_id),
        )

    def run_state(self, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self.airflow.run(DAG, run_id)["state"])

    def tasks(self, run_id: str) -> dict[str, TaskRun]:
        """Every task of the run, by its id."""
        return {task.task_id: task for task in self.airflow.tasks(DAG, run_id)}

    def task(self, run_id: str, task_id: str) -> TaskRun:
        return self.tasks(run_id)[task_id]

    def states(self, run_id: str) -> dict[str, str | None]:
        return {name: task.state for name, task in self.tasks(run_id).items()}

    def tries(self, run_id: str) -> dict[str, int]:
        """How often each task was tried."""
        return {name: task.try_number for name, task in self.tasks(run_id).items()}

    def result(self, run_id: str, task_id: str) -> Any:
        """The task's return value, or None if it returned nothing."""
        return self.airflow.result(DAG, run_id, self.task(run_id, task_id))

    def log(self, run_id: str, task_id: str, try_number: int | None = None) -> str:
        """The log of the task's last try, or of the try with this number."""
        task = self.task(run_id, task_id)
        if try_number is not None:
            task = replace(task, try_number=try_number)
        return "\n".join(self.airflow.log(DAG, run_id, task))

    def sessions_made(self, run_id: str, task_id: str) -> int:
        """How many Livy sessions the task created in all its tries."""
        tries = range(1, self.task(run_id, task_id).try_number + 1)
        logs = [self.log(run_id, task_id, number) for number in tries]
        return sum(len(re.findall(r"session \S+ \(\d+\) created", log)) for log in logs)

    def describe(self, run_id: str) -> str:
        """The run for a failure message: its unfinished and failed tasks, with the ends of the logs."""
        lines = [f"run {run_id} is {self.run_state(run_id)}"]
        for name, task in self.tasks(run_id).items():
            if task.state not in (None, "success"):
                lines.append(f"  {name}: {task.state}, try {task.try_number}")
            if task.state in ("failed", "up_for_retry"):
                lines += [f"    {line}" for line in self.log(run_id, name).splitlines()[-15:]]
        return "\n".join(lines)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send any other request to Airflow's REST API (`/api/v2` + path)."""
        return self.airflow.request(method, path, json=body)

    # The account

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[Connection]:
        """Lock a table of the running warehouse, so that nobody else can read or write it until the body ends."""
        redshift = self.account.client("redshift")
        (cluster,) = redshift.describe_clusters()["Clusters"]
        with contextlib.closing(psycopg2.connect(**connection_arguments(redshift, cluster))) as connection:
            connection.cursor().execute(f"LOCK TABLE {table}")
            yield connection

    def wait_for_a_blocked_statement(self, connection: Connection, deadline_s: float = _TASK_S) -> None:
        """Wait until a statement in the warehouse waits for a lock."""
        cursor = connection.cursor()

        def count() -> int:
            cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
            return int(cursor.fetchone()[0])  # type: ignore[index]

        self._wait(count, bool, "a statement that waits for the lock", deadline_s)

    def tables(self) -> list[list[Any]]:
        """The content of the warehouse's newest snapshot."""
        return read_content(self.sandbox)

    def left(self) -> list[str]:
        """Mayfly's resources that should not exist once every run is over."""
        return [str(item) for item in leftovers(list_account(self.account))]

    def live_clusters(self, kind: str) -> list[str]:
        """The names of the existing clusters; `kind` is EMR or Redshift."""
        return [found.name for found in list_account(self.account) if found.kind == f"{kind} cluster"]

    def wait_for_cluster(self, kind: str, deadline_s: float = _TASK_S) -> str:
        """Wait until AWS lists a cluster of this kind; returns its name."""
        found = self._wait(lambda: self.live_clusters(kind), bool, f"a cluster of {kind}", deadline_s)
        return found[0]

    def wait_for_emr_state(self, state: str) -> None:
        """Wait until an EMR cluster is in this state."""
        emr = self.account.client("emr")
        self._wait(
            lambda: [cluster["Status"]["State"] for cluster in emr.list_clusters()["Clusters"]],
            lambda states: state in states,
            f"an EMR cluster that is {state}",
            _TASK_S,
        )

    def calls(self, since: int = 0) -> dict[str, int]:
        """How often AWS accepted each `service.action` of Mayfly's principal since `calls_so_far()` was `since`."""
        return self.account.count_calls(since, principal_only=True, accepted_only=True)

    def register(self) -> Json:
        """The current content of the environment's register."""
        text = self.account.read_text(f"state/{DAG}/register.json")
        assert text is not None, "there is no register"
        found: Json = json.loads(text)
        return found

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the AWS process's control API, for example to inject a fault (docs/sandbox.md)."""
        answer = self._http.request(method, f"{self.account.aws_url}/_sandbox/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def janitor(self, *arguments: str, **overrides: Any) -> subprocess.CompletedProcess[str]:
        """Run the janitor's command once, as cron on another host does; `overrides` are those of `settings`."""
        known = variables()
        content = {
            "aws_region": known["aws_region"],
            "aws_credentials": json.loads(known["aws_credentials"]),
            "mayfly": self.settings(**overrides),
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="mayfly-janitor-") as file:
            json.dump(content, file)
            file.flush()
            return subprocess.run(
                [sys.executable, "-m", "airflow_lib.janitor", *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT / "plugins"),
                    SETTINGS_FILE: file.name,
                    "AWS_ENDPOINT_URL": self.account.aws_url,
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
                capture_output=True,
                text=True,
                timeout=_JANITOR_S,
                check=False,
            )

    # Spark sessions

    def wait_for_statement(self, run_id: str, job: str) -> None:
        """Wait until a job's Livy session runs its statement."""
        name = self._session(run_id, job)

        def poll() -> str:
            try:
                livy = LivyClient(find_endpoint(self._master(), LIVY_PORT, scheme="auto", ca=None))
                session = livy.probe_session(name)
                statements = livy.list_statements(session.id) if session else ()
            except LivyError as error:
                return str(error)
            return statements[0].state.value if statements else "no statement yet"

        self._wait(poll, lambda seen: seen == "running", f"a statement of {name}", _TASK_S)

    # Processes to kill

    def wait_for_another(self, name: str, than: psutil.Process) -> None:
        """Wait until another process has replaced that of a killed component."""
        self._wait_for(
            lambda: one if (one := self.processes.airflow(name)) != than else None, f"another {name}"
        )

    def kill_a_task(self, run_id: str, prefix: str, deadline_s: float = _TASK_S) -> str:
        """Kill the process of a running task whose id starts with `prefix`; returns the task's id.

        If a task ended before the signal arrived, it does not count, and another one is killed.
        """

        def kill_one() -> str | None:
            for name, task in self.tasks(run_id).items():
                if name.startswith(prefix) and task.state == "running":
                    process = self.processes.task(task.pid)
                    if process is not None and self._killed_while_running(run_id, task, process):
                        return name
            return None

        return self._wait_for(kill_one, f"a running task {prefix}*", deadline_s)

    def _killed_while_running(self, run_id: str, task: TaskRun, process: psutil.Process) -> bool:
        """Kill the process; returns whether the task was still running, so that it is tried again."""
        with contextlib.suppress(psutil.NoSuchProcess):
            kill(process)
        after = self._wait(
            lambda: self.task(run_id, task.task_id),
            lambda seen: seen.state != "running" or seen.try_number > task.try_number,
            f"{task.task_id} to be seen as killed",
            _TASK_S,
        )
        return after.state == "up_for_retry" or after.try_number > task.try_number

    @contextlib.contextmanager
    def no_airflow(self) -> Iterator[None]:
        """Kill all of Airflow, as when its host fails, and let nothing restart it until the body ends."""
        with suspended(self.processes.supervisor, with_descendants=False):
            for name in COMPONENTS:
                kill_tree(self.component(name))
            yield
        self._wait(self._is_healthy, bool, "Airflow that is back", _TASK_S)

    def _is_healthy(self) -> bool:
        try:
            return set(self.airflow.health().values()) == {"healthy"}
        except requests.RequestException:
            return False

    def component(self, name: str) -> psutil.Process:
        """The process of the scheduler, triggerer, dag-processor or api-server."""
        return self._wait_for(lambda: self.processes.airflow(name), f"the process of the {name}")

    def task_process(self, run_id: str, task_id: str) -> psutil.Process:
        """The process that runs a task now."""
        task = self.wait_for_task(run_id, task_id, "running")
        return self._wait_for(
            lambda: self.processes.task(self.task(run_id, task_id).pid), f"the process of {task.task_id}"
        )

    def driver(self, run_id: str, job: str) -> psutil.Process:
        """The driver JVM of a job's Livy session."""
        name = self._session(run_id, job)
        return self._wait_for(lambda: self.processes.livy_driver(name), f"the driver of {name}")

    def livy_server(self) -> psutil.Process:
        """The Livy server of the running EMR cluster."""
        return self._wait_for(lambda: self.processes.livy_server(self._master()), "a Livy server")

    @staticmethod
    def _session(run_id: str, job: str) -> str:
        return session_name(Environment(DEPLOYMENT, DAG), run_id, job)

    def _master(self) -> str:
        emr = self.account.client("emr")
        listed = emr.list_clusters(ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"])[
            "Clusters"
        ]
        if not listed:
            return "none"
        return str(emr.describe_cluster(ClusterId=listed[0]["Id"])["Cluster"].get("MasterPublicDnsName"))

    def _wait_for(self, find: Callable[[], T | None], what: str, deadline_s: float = _TASK_S) -> T:
        found = self._wait(find, lambda one: one is not None, what, deadline_s)
        assert found is not None
        return found

    @staticmethod
    def _wait(
        probe: Callable[[], T],
        is_wanted: Callable[[T], bool],
        what: str,
        deadline_s: float,
        describe: Callable[[], str] | None = None,
    ) -> T:
        """Poll until `is_wanted` accepts a value of `probe`; an API server that does not respond is polled again."""
        deadline, seen = time.monotonic() + deadline_s, "nothing"
        while True:
            try:
                value = probe()
                if is_wanted(value):
                    return value
                seen = str(value)
            except SandboxError as error:
                seen = str(error)
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"Timed out after {deadline_s:.0f} s waiting for {what}; last seen: {seen}\n"
                    f"{describe() if describe else ''}"
                )
            time.sleep(_POLL_S)


def _merge(base: Json, over: Json) -> Json:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merge(merged[key], value) if isinstance(merged.get(key), dict) else value
    return merged
