"""The actions of people in Airflow's UI, as the REST requests that the UI sends."""

from __future__ import annotations

from typing import Any

from live_runs import DAG, LiveRuns, Window
from requests.utils import quote

from sandbox.errors import SandboxError

Json = dict[str, Any]


class People:
    """A person at the UI. Raises SandboxError with Airflow's own message if Airflow refuses an action."""

    def __init__(self, runs: LiveRuns) -> None:
        self._runs = runs

    def pause(self, paused: bool = True) -> None:
        """Pause the DAG, or unpause it."""
        self._request("PATCH", "", {"is_paused": paused})

    def trigger(self, run_id: str, window: Window) -> str:
        """Trigger a run without unpausing the DAG; returns the run's id."""
        start, end = window
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "conf": {"window_start": start, "window_end": end},
        }
        return str(self._request("POST", "/dagRuns", body)["dag_run_id"])

    def mark_run(self, run_id: str, state: str) -> None:
        """Mark the run success, failed or queued."""
        self._request("PATCH", _run(run_id), {"state": state})

    def mark_task(self, run_id: str, task_id: str, state: str) -> None:
        self._request("PATCH", f"{_run(run_id)}/taskInstances/{task_id}", {"new_state": state})

    def clear_task(self, run_id: str, task_id: str) -> set[str]:
        """Clear only this task; returns the ids of all tasks that Airflow cleared."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        cleared = self._request("POST", "/clearTaskInstances", body)
        return {task["task_id"] for task in cleared["task_instances"]}

    def clear_run(self, run_id: str) -> None:
        self._request("POST", f"{_run(run_id)}/clear", {"dry_run": False, "only_failed": False})

    def delete_run(self, run_id: str) -> None:
        self._request("DELETE", _run(run_id))

    def try_to_delete(self, run_id: str) -> str:
        """Try to delete the run; returns Airflow's message if it refuses, otherwise ""."""
        try:
            self.delete_run(run_id)
        except SandboxError as error:
            return str(error)
        return ""

    def has_run(self, run_id: str) -> bool:
        return run_id in self.run_ids()

    def backfill(self, start: str, end: str, max_active_runs: int) -> int:
        """Start a backfill of these days, the last one included; returns its id."""
        body = {
            "dag_id": DAG,
            "from_date": _time(start),
            "to_date": _time(end),
            "max_active_runs": max_active_runs,
        }
        return int(self._runs.request("POST", "/backfills", body)["id"])

    def cancel_backfill(self, backfill_id: int) -> None:
        self._runs.request("PUT", f"/backfills/{backfill_id}/cancel")

    def run_ids(self, kind: str = "") -> list[str]:
        """The sorted ids of the DAG's runs, of all or of one type (backfill, manual)."""
        found = self._request("GET", "/dagRuns")["dag_runs"]
        return sorted(run["dag_run_id"] for run in found if kind in ("", run["run_type"]))

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        return self._runs.request(method, f"/dags/{DAG}{path}", body)


def _run(run_id: str) -> str:
    return f"/dagRuns/{quote(run_id, safe='')}"


def _time(day: str) -> str:
    return f"{day}T00:01:00Z"
