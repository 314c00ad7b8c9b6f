"""A client for the part of Airflow's REST API that the sandbox uses.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import requests

from sandbox.errors import AirflowNotFound, SandboxError

_TIMEOUT_S = 60
_MOST_RUNS = 1000  # the sandbox's `maximum_page_limit`
Json = dict[str, Any]


@dataclass(frozen=True)
class TaskRun:
    """One task of one DAG run, as Airflow reports it; `state` is None before it is scheduled.

    `pid` is the process that runs it, or ran it last, and `host` that process's host: with Celery, its worker. `queued`
    is when Airflow last gave it to its executor.
    """

    task_id: str
    state: str | None
    start: datetime | None
    end: datetime | None
    try_number: int
    map_index: int = -1
    pid: int | None = None
    host: str = ""
    queued: datetime | None = None

    @property
    def name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True)
class Backfill:
    """What to ask Airflow for: a run for each of the schedule's intervals that begins on `first`, …, `last`.

    The days are UTC's. `reprocess` says which days that have a run already are done again: `none` of them, those whose
    run has `failed`, or all whose run is over (`completed`).
    """

    dag_id: str
    first: date
    last: date
    max_active_runs: int = 1
    backwards: bool = False
    reprocess: str = "none"
    conf: Json | None = None

    def as_json(self) -> Json:
        return {
            "dag_id": self.dag_id,
            "from_date": f"{self.first.isoformat()}T00:00:00Z",
            "to_date": f"{self.last.isoformat()}T23:59:59Z",
            "max_active_runs": self.max_active_runs,
            "run_backwards": self.backwards,
            "reprocess_behavior": self.reprocess,
            "dag_run_conf": self.conf,
        }


class AirflowClient:
    """Sends requests as one user. Raises SandboxError with Airflow's own message if Airflow refuses or is down."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._user, self._password = user, password
        self._http = requests.Session()
        self._http.trust_env = False  # the caller's proxy cannot reach loopback
        self._has_token = False

    def health(self) -> dict[str, str | None]:
        """The state of each component. Raises requests.ConnectionError while nothing listens."""
        answer = self._http.get(f"{self.url}/api/v2/monitor/health", timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return {name: (part or {}).get("status") for name, part in answer.json().items()}

    def set_variable(self, name: str, value: str) -> None:
        """Create or replace a Variable."""
        body = {"key": name, "value": value}
        try:
            self.request("PATCH", f"/variables/{name}", json=body)
        except AirflowNotFound:
            self.request("POST", "/variables", json=body)

    def variable(self, name: str) -> str:
        """The text of a Variable."""
        return str(self.request("GET", f"/variables/{name}")["value"])

    def find_dag(self, dag_id: str) -> Json | None:
        """The DAG, or None if Airflow has not read it yet."""
        try:
            return self.request("GET", f"/dags/{dag_id}")
        except AirflowNotFound:
            return None

    def import_errors(self) -> list[str]:
        """`file: traceback` of each DAG file that cannot be imported."""
        errors = self.request("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}:\n{error['stack_trace'].rstrip()}" for error in errors]

    def trigger(self, dag_id: str, conf: Json, run_id: str | None = None) -> str:
        """Trigger a run with `conf` as its params; returns its id, which Airflow chooses unless `run_id` is given."""
        self.unpause(dag_id)
        body = {"logical_date": None, "conf": conf, **({"dag_run_id": run_id} if run_id else {})}
        run = self.request("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return str(run["dag_run_id"])

    def unpause(self, dag_id: str) -> None:
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def plan_backfill(self, wanted: Backfill) -> list[str]:
        """The logical dates of the runs that `create_backfill` would make or clear, in the order of its runs."""
        found = self.request("POST", "/backfills/dry_run", json=wanted.as_json())
        return [str(run["logical_date"]) for run in found["backfills"]]

    def create_backfill(self, wanted: Backfill) -> int:
        """Create a backfill, unpausing its DAG; returns its id. Airflow takes one at a time of a DAG."""
        self.unpause(wanted.dag_id)
        return int(self.request("POST", "/backfills", json=wanted.as_json())["id"])

    def backfill(self, backfill_id: int) -> Json:
        """The backfill: `is_paused`, `completed_at`, which is None while it is under way, and what was asked for."""
        return self.request("GET", f"/backfills/{backfill_id}")

    def cancel_backfill(self, backfill_id: int) -> None:
        """Fail the runs of the backfill that have not begun, and complete it; those that run go on."""
        self.request("PUT", f"/backfills/{backfill_id}/cancel")

    def pause_backfill(self, backfill_id: int, paused: bool = True) -> None:
        """Let no further run of the backfill begin, or let them begin again."""
        self.request("PUT", f"/backfills/{backfill_id}/{'pause' if paused else 'unpause'}")

    def runs(self, dag_id: str, kind: str | None = None) -> list[Json]:
        """The DAG's runs, of all types or of one (`backfill`, `manual`, `scheduled`)."""
        params = {"limit": _MOST_RUNS, **({"run_type": kind} if kind else {})}
        found: list[Json] = self.request("GET", f"/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        return found

    def run(self, dag_id: str, run_id: str) -> Json:
        """The DAG run; its `state` is queued, running, success or failed."""
        return self.request("GET", _run_path(dag_id, run_id))

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Mark the run failed: Airflow ends its running tasks, and still runs its teardowns."""
        self.request("PATCH", _run_path(dag_id, run_id), json={"state": "failed"})

    def upstream_of(self, dag_id: str) -> dict[str, set[str]]:
        """By task of the DAG, the tasks that it waits for."""
        tasks = self.request("GET", f"/dags/{dag_id}/tasks")["tasks"]
        upstream: dict[str, set[str]] = {task["task_id"]: set() for task in tasks}
        for task in tasks:
            for after in task["downstream_task_ids"] or ():
                upstream[after].add(task["task_id"])
        return upstream

    def tasks(self, dag_id: str, run_id: str) -> list[TaskRun]:
        """Every task of the run in the order of their start; those that have not started are last."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        instances = self.request("GET", path, params={"limit": 1000})["task_instances"]
        runs = [
            TaskRun(
                task_id=item["task_id"],
                state=item["state"],
                start=_time(item["start_date"]),
                end=_time(item["end_date"]),
                try_number=item["try_number"],
                map_index=item["map_index"],
                pid=item.get("pid"),
                host=item.get("hostname") or "",
                queued=_time(item.get("queued_when")),
            )
            for item in instances
        ]
        return sorted(runs, key=lambda run: (run.start is None, run.start.timestamp() if run.start else 0))

    def upstream(self, dag_id: str) -> dict[str, frozenset[str]]:
        """The ids of the DAG's tasks, and which others each of them waits for."""
        tasks = self.request("GET", f"/dags/{dag_id}/tasks")["tasks"]
        before: dict[str, set[str]] = {task["task_id"]: set() for task in tasks}
        for task in tasks:
            for after in task["downstream_task_ids"]:
                before.setdefault(after, set()).add(task["task_id"])
        return {task_id: frozenset(ids) for task_id, ids in before.items()}

    def result(self, dag_id: str, run_id: str, task: TaskRun) -> Any:
        """The task's return value, or None if it returned nothing."""
        return self.xcom(dag_id, run_id, task, "return_value")

    def xcom(self, dag_id: str, run_id: str, task: TaskRun, key: str) -> Any:
        """What the task left under `key`, or None if nothing."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task.task_id}/xcomEntries/{key}"
        try:
            entry = self.request("GET", path, params={"map_index": task.map_index, "stringify": "false"})
        except AirflowNotFound:
            return None
        value = entry["value"]
        if isinstance(value, str):
            try:
                return json.loads(value)
            except json.JSONDecodeError:
                return value
        return value

    def log(self, dag_id: str, run_id: str, task: TaskRun) -> list[str]:
        """The log lines of the task's last try, errors with their tracebacks."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task.task_id}/logs/{max(task.try_number, 1)}"
        try:
            answer = self.request("GET", path, params={"map_index": task.map_index, "full_content": "true"})
        except AirflowNotFound:
            return []
        content = answer["content"]
        entries = content if isinstance(content, list) else [content]
        return [line for entry in entries for line in _log_lines(entry)]

    def request(self, method: str, path: str, *, params: Json | None = None, json: Any = None) -> Any:
        if not self._has_token:
            self._log_in()
        answer = self._send(method, path, params, json)
        if answer.status_code == 401:  # the token has expired
            self._log_in()
            answer = self._send(method, path, params, json)
        if answer.status_code == 404:
            raise AirflowNotFound(f"Airflow has no {path}")
        if not answer.ok:
            raise SandboxError(
                f"Airflow refused {method} {path} with {answer.status_code}: {_detail(answer)}"
            )
        return answer.json() if answer.content else {}

    def _send(self, method: str, path: str, params: Json | None, body: Any) -> requests.Response:
        url = f"{self.url}/api/v2{path}"
        try:
            return self._http.request(method, url, params=params, json=body, timeout=_TIMEOUT_S)
        except requests.RequestException as error:
            raise SandboxError(f"Airflow does not respond at {self.url} ({error})") from error

    def _log_in(self) -> None:
        try:
            answer = self._http.post(
                f"{self.url}/auth/token",
                json={"username": self._user, "password": self._password},
                timeout=_TIMEOUT_S,
            )
        except requests.RequestException as error:
            raise SandboxError(f"Airflow does not respond at {self.url} ({error})") from error
        if answer.status_code != 201:
            raise SandboxError(
                f"Airflow at {self.url} refuses the login of {self._user} ({answer.status_code}): "
                "does it belong to another sandbox? `python -m sandbox down` stops the running one"
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._has_token = True


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{requests.utils.quote(run_id, safe='')}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _detail(answer: requests.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
    return detail if isinstance(detail, str) else json.dumps(detail)


def _log_lines(entry: Any) -> list[str]:
    """A log entry as text: Airflow returns structured events."""
    if not isinstance(entry, dict):
        return str(entry).splitlines()
    level = str(entry.get("level") or "").upper()
    lines = str(entry.get("event", "")).splitlines() or [""]
    if level:
        lines[0] = f"{level} {lines[0]}"
    for detail in entry.get("error_detail") or ():
        frames = detail.get("frames") or ()
        lines += [f"  {frame['filename']}:{frame['lineno']} in {frame['name']}" for frame in frames]
        lines += f"{detail.get('exc_type')}: {detail.get('exc_value')}".splitlines()
    return lines
