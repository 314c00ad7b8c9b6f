"""A task's links in Airflow's UI: what `airflow_lib.links` knows, as Airflow keeps it.

Airflow asks for a link's address in the worker, when the process of a task ends: when the task waits, is done, or has
failed, and after the scheduler was told (`task_runner.finalize`, Airflow 3.3). It keeps the address as an XCom, which
is all that the web server reads, so neither AWS nor the plugins folder is asked there.

A process that begins to wait must end soon (`operators.step._FIRST_POLL_S`), so what is known there is not asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperatorLink

from airflow_lib.links import CLUSTER_TASKS, Looked, link_names, list_links, slots_of
from airflow_lib.settings import Settings
from airflow_lib.steps import Json, Step
from operators.airflow_run import read_settings

log = logging.getLogger(__name__)


class TaskLinks:
    """The links of one task; `own` is what the task has found so far: its state, or its result."""

    def __init__(self, pipeline: str, step: Step | None = None) -> None:
        self._pipeline, self._step = pipeline, step
        self._own: Json = {}
        self._settings: Settings | None = None
        self._addresses: dict[str, str] | None = None
        self.has_waited = (
            False  # whether the task was resumed in this process: Airflow has the addresses of before
        )
        self.all = [TaskLink(name, self) for name in link_names(step)]

    def tell(self, own: Json, settings: Settings | None = None) -> None:
        """What the task has found; its run's settings where they are at hand."""
        self._own, self._settings, self._addresses = own, settings, None

    def address(self, link: TaskLink, ti: Any) -> str:
        """The link's address by what is known now, else as it was when the task began to wait, else empty."""
        if self._addresses is None:
            self._addresses = self._list(ti)
        known = self._addresses.get(link.name, "")
        if known or not self.has_waited:
            return known
        return str(ti.xcom_pull(task_ids=ti.task_id, key=link.xcom_key) or "")

    def _list(self, ti: Any) -> dict[str, str]:
        try:
            settings = self._settings or read_settings().for_pipeline(self._pipeline)
            clusters = {slot: _read_result(ti, CLUSTER_TASKS[slot]) for slot in slots_of(self._step)}
            looked = Looked(settings, self._pipeline, ti.run_id, self._own, clusters)
            return list_links(self._step, looked)
        except Exception as error:  # noqa: BLE001  links are for people: the task has its own error
            log.info("the links of this task cannot be made: %s", error)
            return {}


class TaskLink(BaseOperatorLink):
    """One link of a task."""

    name = ""
    xcom_key = ""

    def __init__(self, name: str, links: TaskLinks) -> None:
        super().__init__()
        self.name = name
        self.xcom_key = f"link: {name}"
        self._links = links

    def get_link(self, operator: object, *, ti_key: Any) -> str:
        """`ti_key` is the task instance: see `task_runner.finalize`."""
        return self._links.address(self, ti_key)


def _read_result(ti: Any, task_id: str) -> Json:
    """The result of another task of the run, empty where it has none."""
    result = {} if ti.task_id == task_id else ti.xcom_pull(task_ids=task_id)
    return dict(result) if isinstance(result, Mapping) else {}
