"""Whether a declared pipeline can work: all that can be told without AWS, so before its DAG is made.

`field_types` looks at each field by itself, `names`, `job_outputs` and `hardware` at what the declaration says,
`job_modules` and `templates` at the files that it names, `columns`, `loads` and `checks` at what it says of the tables
in those files, `answers` at its answers. All mistakes are told at once; only where a type is wrong the rest is left
out, since it would be told of values that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from airflow_lib.declaration.answers import answer_mistakes
from airflow_lib.declaration.checks import check_mistakes
from airflow_lib.declaration.columns import column_mistakes
from airflow_lib.declaration.field_types import type_mistakes
from airflow_lib.declaration.hardware import hardware_mistakes
from airflow_lib.declaration.job_modules import job_module_mistakes
from airflow_lib.declaration.job_outputs import job_output_mistakes
from airflow_lib.declaration.loads import load_mistakes
from airflow_lib.declaration.names import name_mistakes
from airflow_lib.declaration.templates import template_mistakes
from airflow_lib.errors import DeclarationError
from airflow_lib.pipeline import Pipeline
from airflow_lib.spark.shipping import SPARKJOBS
from airflow_lib.warehouse.sql import ROOT

Look = Callable[[Pipeline], Iterable[str]]


def validate(
    pipeline: Pipeline, *, also: Iterable[Look] = (), templates: Path = ROOT, sparkjobs: Path = SPARKJOBS
) -> None:
    """Return where the pipeline can work; `also` are further looks at it, each of which yields mistakes.

    `templates` and `sparkjobs` are the folders of the SQL and of the jobs. Raises DeclarationError that lists every
    mistake, each with what to do.
    """
    mistakes = list(type_mistakes(pipeline))
    if not mistakes:
        looks: list[Look] = [
            name_mistakes,
            lambda declared: job_output_mistakes(declared, root=templates),
            hardware_mistakes,
            *also,
            lambda declared: job_module_mistakes(declared, root=sparkjobs),
            lambda declared: template_mistakes(declared, root=templates),
            lambda declared: column_mistakes(declared, root=templates),
            lambda declared: load_mistakes(declared, root=templates),
            lambda declared: check_mistakes(declared, root=templates),
            lambda declared: answer_mistakes(declared, root=templates),
        ]
        mistakes = [mistake for look in looks for mistake in look(pipeline)]
    if mistakes:
        lines = "\n".join(f"- {mistake}" for mistake in mistakes)
        raise DeclarationError(
            f"The declaration of pipeline {getattr(pipeline, 'name', pipeline)!r} cannot work:\n{lines}"
        )
