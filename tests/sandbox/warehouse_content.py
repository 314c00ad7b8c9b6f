"""What the immigration warehouse holds, in one row a table, to compare two states of it."""

from __future__ import annotations

import json
from typing import Any

from sandbox_process import SandboxProcess

from sandbox.account import DEPLOYMENT
from tests.sql.declarations import declared_pipeline
from tests.sql.parsing import own_columns_of

IMMIGRATION = declared_pipeline("immigration")


def content_query() -> str:
    """Of every table its name, rows, and a digest that any changed value changes and the order of rows does not.

    Identity columns are left out: their values depend on the loads' order. `hashtextextended` is PostgreSQL's.
    """
    tables = IMMIGRATION.warehouse_tables
    return "\nUNION ALL ".join(_digest(table.name) for table in tables) + "\nORDER BY 1"


def _digest(table: str) -> str:
    columns = own_columns_of(IMMIGRATION, table)
    row = " || ',' || ".join(
        f"COALESCE(QUOTE_LITERAL(CAST({column} AS VARCHAR)), 'NULL')" for column in columns
    )
    return f"SELECT '{table}', COUNT(*), SUM(hashtextextended({row}, 0)) FROM {table}"


def read_content(sandbox: SandboxProcess, deployment: str = DEPLOYMENT) -> list[list[Any]]:
    """The digests of the newest snapshot of the deployment's warehouse."""
    answer = sandbox.run("sql", "immigration", "-c", content_query(), "--json", "--deployment", deployment)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    rows: list[list[Any]] = json.loads(answer.stdout.splitlines()[-1])["rows"]
    return rows
