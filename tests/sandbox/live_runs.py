"""Runs of the immigration pipeline in a sandbox that is up, driven and watched as a person would from outside.

    with sandbox.up():
        runs = LiveRuns(sandbox)
        runs.put_source()
        run = runs.trigger(APRIL)
        runs.wait_for_task(run, "transform.arrivals", "deferred")
        kill(runs.driver(run, "arrivals"))
        assert runs.wait_for_run(run) == "success"

Every wait has a deadline, and tells what was seen when it passes.
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
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg2.extensions
import requests
from live_processes import LiveProcesses, frozen, kill, kill_tree
from sandbox_process import ROOT, SandboxProcess
from warehouse_content import read_content

from airflow_lib.janitor import SETTINGS_FILE
from airflow_lib.naming import Environment, session_name
from airflow_lib.spark.livy import LivyClient, LivyError
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
    """The runs of one sandbox that is up: `sandbox.up()` has been entered, with `dags=ROOT / "dags"`."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        running = Running(**json.loads((sandbox.home / "running.json").read_text()))
        assert running.airflow_url
        assert running.user
        assert running.password
        self.sandbox = sandbox
        self.account = Account(running.aws_url)
        self.airflow = AirflowClient(running.airflow_url, running.user, running.password)
        self.processes = LiveProcesses(running.pid)
        self._http = requests.Session()
        self._http.trust_env = False

    # What a run reads

    def put_source(self, rows: int = _ROWS, seed: int = 1) -> None:
        """Make the source generated files; another seed makes every job's output another one."""
        with tempfile.TemporaryDirectory(prefix="mayfly-source-") as directory:
            generate(Path(directory), rows=rows, seed=seed)
            self.account.replace_source(DAG, Path(directory))

    def set_settings(self, **overrides: Any) -> None:
        """Make the Variable `mayfly` the sandbox's own with these keys over it; nested objects are merged."""
        self.airflow.set_variable("mayfly", json.dumps(self.settings(**overrides)))

    def settings(self, **overrides: Any) -> Json:
        """What `set_settings` would write."""
        return _merge(json.loads(variables()["mayfly"]), overrides)

    # Runs and their tasks

    def trigger(self, window: Window = APRIL, run_id: str | None = None, dag_id: str = DAG) -> str:
        """Ask for a run once Airflow knows the DAG; answers its id."""
        self._wait(
            lambda: self.airflow.find_dag(dag_id), lambda dag: dag is not None, f"the DAG {dag_id}", _TASK_S
        )
        start, end = window
        return self.airflow.trigger(dag_id, {"window_start": start, "window_end": end}, run_id)

    def wait_for_task(
        self, run_id: str, task_id: str, *states: str | None, deadline_s: float = _TASK_S
    ) -> TaskRun:
        """The task once it is in one of `states` (success, failed, running, deferred, up_for_retry, …)."""
        return self._wait(
            lambda: self.task(run_id, task_id),
            lambda task: task.state in states,
            f"{task_id} to be {' or '.join(map(str, states))}",
            deadline_s,
            lambda: self.tell(run_id),
        )

    def wait_for_try(self, run_id: str, task_id: str, number: int, deadline_s: float = _TASK_S) -> TaskRun:
        """The task once its try of that number, or a later one, has begun."""
        return self._wait(
            lambda: self.task(run_id, task_id),
            lambda task: task.try_number >= number,
            f"try {number} of {task_id}",
            deadline_s,
            lambda: self.tell(run_id),
        )

    def wait_for_run(self, run_id: str, deadline_s: float = _RUN_S) -> str:
        """The state in which the run ends: success or failed."""
        return self._wait(
            lambda: self.run_state(run_id),
            lambda state: state in OVER,
            f"the end of run {run_id}",
            deadline_s,
            lambda: self.tell(run_id),
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
        """What the task returned, None where it returned nothing."""
        return self.airflow.result(DAG, run_id, self.task(run_id, task_id))

    def log(self, run_id: str, task_id: str, try_number: int | None = None) -> str:
        """The log of the task's last try, or of the one named."""
        task = self.task(run_id, task_id)
        if try_number is not None:
            task = replace(task, try_number=try_number)
        return "\n".join(self.airflow.log(DAG, run_id, task))

    def sessions_made(self, run_id: str, task_id: str) -> int:
        """How many Livy sessions the task made, in all its tries."""
        tries = range(1, self.task(run_id, task_id).try_number + 1)
        logs = [self.log(run_id, task_id, number) for number in tries]
        return sum(len(re.findall(r"session \S+ \(\d+\) created", log)) for log in logs)

    def tell(self, run_id: str) -> str:
        """The run as a failing test shows it: what is not simply done or not yet begun, with the ends of logs."""
        lines = [f"run {run_id} is {self.run_state(run_id)}"]
        for name, task in self.tasks(run_id).items():
            if task.state not in (None, "success"):
                lines.append(f"  {name}: {task.state}, try {task.try_number}")
            if task.state in ("failed", "up_for_retry"):
                lines += [f"    {line}" for line in self.log(run_id, name).splitlines()[-15:]]
        return "\n".join(lines)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Any other request to Airflow's REST API (`/api/v2` + path)."""
        return self.airflow._ask(method, path, json=body)

    # The account

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[Connection]:
        """A table of the live warehouse that nobody else can read or write until the body ends."""
        redshift = self.account.client("redshift")
        (cluster,) = redshift.describe_clusters()["Clusters"]
        with contextlib.closing(psycopg2.connect(**connection_arguments(redshift, cluster))) as connection:
            connection.cursor().execute(f"LOCK TABLE {table}")
            yield connection

    def wait_for_a_blocked_statement(self, connection: Connection, deadline_s: float = _TASK_S) -> None:
        """Return once somebody waits for a lock in the warehouse that `connection` is to."""
        cursor = connection.cursor()

        def count() -> int:
            cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
            return int(cursor.fetchone()[0])  # type: ignore[index]

        self._wait(count, bool, "a statement that waits for the lock", deadline_s)

    def tables(self) -> list[list[Any]]:
        """What the newest snapshot of the warehouse holds."""
        return read_content(self.sandbox)

    def left(self) -> list[str]:
        """What of ours exists and should not once every run is over."""
        return [str(item) for item in leftovers(list_account(self.account))]

    def live_clusters(self, kind: str) -> list[str]:
        """The names of the clusters that exist: `kind` is EMR or Redshift."""
        return [found.name for found in list_account(self.account) if found.kind == f"{kind} cluster"]

    def wait_for_cluster(self, kind: str, deadline_s: float = _TASK_S) -> str:
        """The name of the one cluster of a kind, once AWS lists it."""
        found = self._wait(lambda: self.live_clusters(kind), bool, f"a cluster of {kind}", deadline_s)
        return found[0]

    def wait_for_emr_state(self, state: str) -> None:
        """Return once the one EMR cluster is in that state."""
        emr = self.account.client("emr")
        self._wait(
            lambda: [cluster["Status"]["State"] for cluster in emr.list_clusters()["Clusters"]],
            lambda states: state in states,
            f"an EMR cluster that is {state}",
            _TASK_S,
        )

    def calls(self, since: int = 0) -> dict[str, int]:
        """How often Airflow's principal called each `service.action` since then (`account.calls_so_far()`)."""
        return self.account.count_calls(since, principal_only=True)

    def register(self) -> Json:
        """The environment's register as it is written now."""
        text = self.account.read_text(f"state/{DAG}/register.json")
        assert text is not None, "there is no register"
        found: Json = json.loads(text)
        return found

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the sandbox's AWS itself, such as a fault (docs/sandbox.md)."""
        answer = self._http.request(method, f"{self.account.aws_url}/_sandbox/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def janitor(self, *arguments: str, **overrides: Any) -> subprocess.CompletedProcess[str]:
        """One pass of the janitor's command, as cron on another host would make it; `overrides` as in settings."""
        told = variables()
        content = {
            "aws_region": told["aws_region"],
            "aws_credentials": json.loads(told["aws_credentials"]),
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
        """Return once a job's Livy session works on its statement."""
        name = self._session(run_id, job)

        def look() -> str:
            try:
                livy = LivyClient(f"http://{self._master()}:{LIVY_PORT}", self._http)
                session = livy.probe_session(name)
                statements = livy.list_statements(session.id) if session else ()
            except LivyError as error:
                return str(error)
            return statements[0].state.value if statements else "no statement yet"

        self._wait(look, lambda seen: seen == "running", f"a statement of {name}", _TASK_S)

    # Processes, to be killed

    def wait_for_another(self, name: str, than: psutil.Process) -> None:
        """Return once another process has taken the place of the component that was killed."""
        self._present(
            lambda: one if (one := self.processes.airflow(name)) != than else None, f"another {name}"
        )

    def kill_a_task(self, run_id: str, beginning: str, deadline_s: float = _TASK_S) -> str:
        """Kill the process of a task whose id begins so, while it works; answers which one it was.

        A task that ended before the signal came does not count: another one is waited for.
        """

        def strike() -> str | None:
            for name, task in self.tasks(run_id).items():
                if name.startswith(beginning) and task.state == "running":
                    process = self.processes.task(task.pid)
                    if process is not None and self._struck(run_id, task, process):
                        return name
            return None

        return self._present(strike, f"a task {beginning}* that works", deadline_s)

    def _struck(self, run_id: str, task: TaskRun, process: psutil.Process) -> bool:
        """Kill it; whether the task was hit by that, and will be tried again."""
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
        """Airflow is gone, as with its host: killed whole and not started again until the body ends."""
        with frozen(self.processes.supervisor, below=False):
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
        """The scheduler, triggerer, dag-processor or api-server."""
        return self._present(lambda: self.processes.airflow(name), f"the process of the {name}")

    def task_process(self, run_id: str, task_id: str) -> psutil.Process:
        """The process that works on a task now."""
        task = self.wait_for_task(run_id, task_id, "running")
        return self._present(
            lambda: self.processes.task(self.task(run_id, task_id).pid), f"the process of {task.task_id}"
        )

    def driver(self, run_id: str, job: str) -> psutil.Process:
        """The driver JVM of a job's Livy session."""
        name = self._session(run_id, job)
        return self._present(lambda: self.processes.livy_driver(name), f"the driver of {name}")

    def livy_server(self) -> psutil.Process:
        """The Livy server of the one EMR cluster that is up."""
        return self._present(lambda: self.processes.livy_server(self._master()), "a Livy server")

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

    def _present(self, find: Callable[[], T | None], what: str, deadline_s: float = _TASK_S) -> T:
        found = self._wait(find, lambda one: one is not None, what, deadline_s)
        assert found is not None
        return found

    @staticmethod
    def _wait(
        probe: Callable[[], T],
        is_wanted: Callable[[T], bool],
        what: str,
        deadline_s: float,
        tell: Callable[[], str] | None = None,
    ) -> T:
        """What `probe` answers once it is wanted. An API server that does not answer is asked again."""
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
                    f"Waited {deadline_s:.0f} s in vain for {what}; last seen: {seen}\n{tell() if tell else ''}"
                )
            time.sleep(_POLL_S)


def _merge(base: Json, over: Json) -> Json:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merge(merged[key], value) if isinstance(merged.get(key), dict) else value
    return merged
