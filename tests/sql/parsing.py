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
    "at_least": 1,
    "at_most": None,
    "batch": "0123456789abcdef" * 4,
    "code": "0123456789abcdef" * 4,
    "column": "some_column",
    "columns": ("first_column", "second_column"),
    "definition": "some_column VARCHAR(8) DEFAULT 'x' NOT NULL",
    "expected": 3,
    "failing": "SELECT 1 AS one",
    "from_table": "other_table",
    "high": date(2016, 4, 30),
    "key": ("first_column", "second_column"),
    "limit": 5,
    "low": None,
    "manifest": "0123456789abcdef" * 4,
    "manifest_url": "s3://bucket/some--prefix/manifest.json",
    "containing": "%abc%",
    "max_age_s": 3600,
    "manifests": '{"arrivals": "0123"}',
    "new": "new_table",
    "order": ' ORDER BY "first_column" DESC',
    "pinned_at": '{"arrivals": "2016-05-01T00:00:00Z"}',
    "pipeline": "some_pipeline",
    "predicate": "first_column <= second_column",
    "prefix": "s3://bucket/published/some_pipeline/some_table/csv/some_table_",
    "query": "SELECT 'it''s' AS first_column LIMIT 3",
    "ranking": ("second_column", "first_column"),
    "referring": ["SELECT 1 AS one", "SELECT 2 AS two"],
    "role_arn": "arn:aws:iam::123456789012:role/copy",
    "run_id": "manual__2026-11-21T00:00:00+00:00",
    "schema": "staging_0123456789ab",
    "select": "SELECT 1 AS first_column, 2 AS second_column",
    "staging": "some_staging",
    "table": "some_table",
    "tables": ["some_table"],
    "table_rows": '{"some_table": 1}',
    "timeout_ms": 10_000_000,
    "to_column": "other_column",
    "to_table": "other_table",
    "verdicts": '{"unique_some_fact_some_column": 0}',
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
