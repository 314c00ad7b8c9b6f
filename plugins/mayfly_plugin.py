"""What Airflow itself loads of Mayfly: the one file of this folder that it looks for plugins in (`.airflowignore`)."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from operators.trigger_requests import RefuseWindows


class MayflyPlugin(AirflowPlugin):
    """Refuses a window that is none where a run is triggered."""

    name = "mayfly"
    fastapi_root_middlewares: list[Any] = [  # noqa: RUF012  Airflow's own declaration
        {"name": "Mayfly: windows of triggered runs", "middleware": RefuseWindows}
    ]
