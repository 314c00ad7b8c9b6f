"""What people do to runs in Airflow's UI, by the requests that the UI makes."""

from __future__ import annotations

from typing import Any

from live_runs import DAG, LiveRuns, Window
from requests.utils import quote

from sandbox.errors import SandboxError

Json = dict[str, Any]


class People:
    """Whoever sits at the UI; raises SandboxError with Airflow's own words where it refuses."""

    def __init__(self, runs: LiveRuns) -> None:
        self._runs = runs

    def pause(self, paused: bool = True) -> None:
        """Pause the DAG, or unpause it."""
        self._ask("PATCH", "", {"is_paused": paused})

    def ask_for_run(self, run_id: str, window: Window) -> str:
        """Trigger the DAG as it is, paused or not; answers the run's id."""
        start, end = window
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "conf": {"window_start": start, "window_end": end},
        }
        return str(self._ask("POST", "/dagRuns", body)["dag_run_id"])

    def mark_run(self, run_id: str, state: str) -> None:
        """Mark the run success, failed or queued."""
        self._ask("PATCH", _run(run_id), {"state": state})

    def mark_task(self, run_id: str, task_id: str, state: str) -> None:
        self._ask("PATCH", f"{_run(run_id)}/taskInstances/{task_id}", {"new_state": state})

    def clear_task(self, run_id: str, task_id: str) -> set[str]:
        """Clear the task alone; answers what Airflow cleared with it."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        cleared = self._ask("POST", "/clearTaskInstances", body)
        return {task["task_id"] for task in cleared["task_instances"]}

    def clear_run(self, run_id: str) -> None:
        self._ask("POST", f"{_run(run_id)}/clear", {"dry_run": False, "only_failed": False})

    def delete_run(self, run_id: str) -> None:
        self._ask("DELETE", _run(run_id))

    def try_to_delete(self, run_id: str) -> str:
        """Airflow's words where it refuses to delete the run, else nothing."""
        try:
            self.delete_run(run_id)
        except SandboxError as error:
            return str(error)
        return ""

    def knows(self, run_id: str) -> bool:
        return run_id in self.run_ids()

    def backfill(self, start: str, end: str, at_once: int) -> int:
        """Ask for a backfill of these days, the last one included; answers its id."""
        body = {"dag_id": DAG, "from_date": _time(start), "to_date": _time(end), "max_active_runs": at_once}
        return int(self._runs.ask("POST", "/backfills", body)["id"])

    def cancel_backfill(self, backfill_id: int) -> None:
        self._runs.ask("PUT", f"/backfills/{backfill_id}/cancel")

    def run_ids(self, kind: str = "") -> list[str]:
        """The DAG's runs in order of their dates, all or of one kind (backfill, manual)."""
        found = self._ask("GET", "/dagRuns")["dag_runs"]
        return sorted(run["dag_run_id"] for run in found if kind in ("", run["run_type"]))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._runs.ask(method, f"/dags/{DAG}{path}", body)


def _run(run_id: str) -> str:
    return f"/dagRuns/{quote(run_id, safe='')}"


def _time(day: str) -> str:
    return f"{day}T00:01:00Z"
