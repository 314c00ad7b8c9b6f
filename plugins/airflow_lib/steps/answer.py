"""The questions that a pipeline answers."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_lib.naming import Slot
from airflow_lib.steps import Done, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.clusters import find_warehouse
from airflow_lib.steps.leases import keeping_lease
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.connection import read

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer(ImmediateStep):
    """One question's answer: columns and rows."""

    name: str

    def begin(self, run: Run) -> Outcome:
        access = find_warehouse(run)
        with keeping_lease(run, Slot.WAREHOUSE):
            result = read(
                access.connect, lambda connection: warehouse.ask(connection, run.pipeline, self.name)
            )
        for row in result.rows[:10]:
            log.info("%s", dict(zip(result.columns, row, strict=True)))
        answer: Json = {"columns": list(result.columns), "rows": [list(row) for row in result.rows]}
        if result.left_out:
            log.warning("%s rows are too many to be kept here and were left out", result.left_out)
            answer["rows_left_out"] = result.left_out
        return Done(answer)
