"""The questions that a pipeline answers."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_lib.pipeline.check import Check


@dataclass(frozen=True)
class Answer:
    """One SELECT, `sql_templates/<pipeline>/answers/<name>.sql`, whose rows are published to S3 after each run.

    As a `table` it is rebuilt in the warehouse, too, in the schema `Pipeline.answers_schema`, where later answers may
    read it: `FROM answers.<name>`. Its `checks` name that table; where one of severity error finds rows, the table of
    the run before stays, and nothing of this answer is published.
    """

    name: str
    table: bool = False
    checks: tuple[Check, ...] = ()
