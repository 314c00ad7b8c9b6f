"""The operator of a step that works in the warehouse: Airflow's UI shows what it sent, under "Rendered Templates".

What is shown is what ran, and not what a template would give: Airflow keeps the field anew when the task's process ends
(`overwrite_rtif_after_execution`, `task_runner.finalize`, Airflow 3.3), as for @task.bash. By then the field is past
Airflow's own rendering, so nothing in a statement is taken for Jinja.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from airflow_lib.pipeline import Pipeline
from airflow_lib.steps import Step
from airflow_lib.warehouse.statement_log import recording
from operators.step import StepOperator

NOT_YET = "-- What the task sends to the warehouse is shown here once it has run."


class WarehouseStepOperator(StepOperator):
    """Begins a step, and shows the statements that it sent to the warehouse as the field `sql`.

    What the triggerer sends while the task waits is not among them: it repeats a COPY that is shown already.
    """

    template_fields: Sequence[str] = ("sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql"}
    overwrite_rtif_after_execution = True

    def __init__(self, *, pipeline: Pipeline, step: Step, custom_operator_name: str, **kwargs: Any) -> None:
        super().__init__(pipeline=pipeline, step=step, custom_operator_name=custom_operator_name, **kwargs)
        self.sql = NOT_YET

    @contextmanager
    def watched(self) -> Iterator[None]:
        with recording() as log:
            try:
                yield
            finally:
                self.sql = log.text() or NOT_YET

    def kept(self) -> dict[str, Any]:
        return {"sql": self.sql}

    def restore(self, kept: dict[str, Any]) -> None:
        self.sql = kept.get("sql", NOT_YET)
