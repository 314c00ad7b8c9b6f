"""What Airflow would give an operator: a pipeline, a step, Variables, a task instance."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from airflow_lib.naming import Slot
from airflow_lib.pipeline import Pipeline, SparkJob, Window
from airflow_lib.steps.release import ReleaseSlot

PIPELINE = Pipeline(
    name="immigration",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(SparkJob("airports", sources=("airports.csv",)),),
    tables=(),
)
STEP = ReleaseSlot(Slot.EMR)
VARIABLES = {
    "aws_region": "us-east-1",
    "mayfly": json.dumps(
        {
            "deployment": "dev",
            "s3": {
                name: f"s3://bucket/{name}" for name in ("source", "processed", "published", "state", "logs")
            },
            "network": {"client_cidr": "10.0.0.0/16"},
        }
    ),
}
APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))


class Task:
    """What Airflow passes as `ti`: XComs pushed, and the states, `failure` records and results of a run's
    tasks."""

    task_id, dag_id, run_id = "verdict", "immigration", "run1"
    max_tries, try_number = 2, 1
    start_date = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __init__(
        self,
        states: dict[str, str | None] | None = None,
        failures: dict[str, Any] | None = None,
        results: dict[str, Any] | None = None,
        times: dict[str, Any] | None = None,
    ) -> None:
        self.xcoms: dict[str, Any] = {}
        self._states = states or {}
        self._failures = failures or {}
        self._results = results or {}
        self._times = times or {}

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        kept = {"failure": self._failures, "times": self._times}
        return kept.get(key, self._results).get(task_ids)

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        return dict.fromkeys(run_ids, self._states)
