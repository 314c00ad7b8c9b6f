"""The preflight's operator: what only Airflow's own hosts can tell of the settings is checked before it begins."""

from __future__ import annotations

from typing import Any

from airflow_lib.steps import Run
from operators.notifiers import check_notifiers
from operators.step import StepOperator


class PreflightOperator(StepOperator):
    """Begins the preflight once every notifier that the settings name can be made.

    Found out only when a run is red, nobody would be told of it.
    """

    def open_run(self, context: Any) -> Run:
        run = super().open_run(context)
        check_notifiers(run.settings)
        return run
