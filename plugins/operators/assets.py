"""Each table and each published answer as an Airflow asset, with an event for each load that came through its checks.

The event is of the task that has the asset among its outlets: Airflow makes it when the task has succeeded, and none
where it failed or was skipped (`task_runner._handle_current_task_success`, Airflow 3.3). So a run that had nothing to
do makes none. Here is what the event tells.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.bases.xcom import BaseXCom

from airflow_lib.naming import answer_asset_uri, table_asset_uri
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.steps import Json

log = logging.getLogger(__name__)

_LOAD = "load.load_window"


def table_asset(pipeline: Pipeline, table: str) -> Asset:
    """Its name is its URI, so that `Asset("mayfly://…")` of another DAG is the same one."""
    return Asset(table_asset_uri(pipeline.name, table))


def answer_asset(pipeline: Pipeline, answer: str) -> Asset:
    """As `table_asset`."""
    return Asset(answer_asset_uri(pipeline.name, answer))


def describe_events(outlets: Sequence[Asset], context: Any, window: Window, result: Json) -> None:
    """Let the events of a task's outlets tell window, run and rows: of an answer in all, of a table as its load did.

    What the load has counted and cannot be read is left out.
    """
    tables = {} if "row_count" in result else result.get("tables") or _read_tables(context["ti"])
    for asset in outlets:
        counted = tables.get(asset.uri.rpartition("/")[2])
        if "row_count" in result:
            counted = {"total": result["row_count"]}
        context["outlet_events"][asset].extra = {
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "run": context["run_id"],
            **({} if counted is None else {"rows": counted}),
        }


def _read_tables(ti: Any) -> Mapping[str, Any]:
    """The rows that the run's load has counted, by table; none where they cannot be read."""
    try:
        loaded = ti.xcom_pull(task_ids=_LOAD, key=BaseXCom.XCOM_RETURN_KEY)
    except Exception as error:  # noqa: BLE001  the table is verified with or without its rows
        log.warning("the rows that the load has counted cannot be read: %s", error)
        return {}
    tables = loaded.get("tables") if isinstance(loaded, Mapping) else None
    return tables if isinstance(tables, Mapping) else {}
