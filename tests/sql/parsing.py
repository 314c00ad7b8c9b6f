"""Templates rendered with made-up values, and read back in Redshift's dialect."""

from __future__ import annotations

from datetime import date

import sqlglot
from sqlglot import exp

from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse.sql import render

# What some template asks for; which of them it gets is the library's matter, tested there.
VALUES = {
    "accepted": ("F", "M"),
    "column": "some_column",
    "columns": ("first_column", "second_column"),
    "fact": "some_fact",
    "expected": 3,
    "failing": "SELECT 1 AS one",
    "limit": 5,
    "manifest": "0123456789abcdef" * 4,
    "manifest_url": "s3://bucket/some--prefix/manifest.json",
    "manifests": '{"arrivals": "0123"}',
    "pinned_at": '{"arrivals": "2016-05-01T00:00:00Z"}',
    "pipeline": "some_pipeline",
    "predicate": "first_column <= second_column",
    "role_arn": "arn:aws:iam::123456789012:role/copy",
    "run_id": "manual__2026-11-21T00:00:00+00:00",
    "schema": "staging_0123456789ab",
    "staging": "some_staging",
    "table": "some_table",
    "table_rows": '{"some_fact": 1}',
    "timeout_ms": 10_000_000,
    "to_column": "other_column",
    "to_table": "other_table",
    "verdicts": '{"unique_some_fact_some_column": 0}',
    "batch": "ba" * 32,
    "code": "c0de" * 16,
    "window_end": date(2016, 5, 1),
    "window_start": date(2016, 4, 1),
    "written": 3,
}


def parse(name: str) -> list[exp.Expression]:
    parsed = sqlglot.parse(render(name, **VALUES), read="redshift")
    return [statement for statement in parsed if statement is not None]


def columns_of(pipeline: Pipeline, table: str) -> list[str]:
    (create,) = parse(f"{pipeline.name}/create/{table}")
    return [column.name for column in create.this.expressions]


def own_columns_of(pipeline: Pipeline, table: str) -> list[str]:
    """All but the identity, which the warehouse fills."""
    (create,) = parse(f"{pipeline.name}/create/{table}")
    identity = (exp.GeneratedAsIdentityColumnConstraint, exp.AutoIncrementColumnConstraint)
    return [column.name for column in create.this.expressions if not column.find(*identity)]
