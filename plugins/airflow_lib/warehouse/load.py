"""What is done in the warehouse: tables, COPY into staging, exactly-once loads, answers.

Every function takes an open connection (`warehouse_connection.connect`), and is safe to repeat: creating is
idempotent, a COPY starts from an empty staging table, a load replaces its window in one transaction.
The SQL is in `sql_templates/` (see `sql`); checks are in `quality`.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_lib.errors import ConnectionLost, WarehouseError
from airflow_lib.pipeline import Dimension, Fact, Pipeline, Window
from airflow_lib.warehouse.connection import Connection, Cursor, Endpoint, connect, read, transact
from airflow_lib.warehouse.sql import ROOT, render, statements

__all__ = [
    "Connection",
    "Endpoint",
    "Result",
    "ask",
    "connect",
    "copy_staging",
    "create_tables",
    "drop_staging",
    "list_staging",
    "load_window",
    "prune_stray_staging",
    "read",
]

logger = logging.getLogger(__name__)

# What `naming.staging_schema` makes, and nothing else: only such a schema is ever dropped.
_STAGING_SCHEMA = re.compile(r"staging_[0-9a-f]{12}\Z")

_COPY_MEND = "Compare the Spark job's columns (COPY matches them by position) with the staging table's."


@dataclass(frozen=True)
class Result:
    """A question's answer; every value can be written as JSON."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def create_tables(conn: Connection, pipeline: Pipeline, *, root: Path = ROOT) -> None:
    """The ledger and the pipeline's dimensions and facts exist; those that were there are left as they are.

    Raises WarehouseError.
    """
    scripts = [render("shared/create_ledger", root=root)]
    scripts += [
        render(f"{pipeline.name}/create/{table.name}", root=root) for table in pipeline.warehouse_tables
    ]
    transact(
        conn,
        lambda cursor: _run(cursor, *scripts),
        what=f"Creating the tables of {pipeline.name}",
        creates=True,
    )
    logger.info("Warehouse: the ledger and %s tables of %s exist", len(scripts) - 1, pipeline.name)


def copy_staging(
    conn: Connection,
    pipeline: Pipeline,
    staging_table: str,
    *,
    schema: str,
    manifest_url: str | None,
    role_arn: str,
    root: Path = ROOT,
) -> int:
    """The rows that the staging table holds, made anew from the manifest's Parquet files.

    A manifest without entries is given as None, since COPY ends in an error where it finds no file:
    https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html
    Raises WarehouseError with the warehouse's own detail of what it could not load.
    """
    names = {"schema": schema, "table": staging_table}
    # The schema comes first and alone: sibling tables are copied at the same time, and would wait for its commit.
    transact(
        conn,
        lambda cursor: _run(cursor, render("shared/create_schema", root=root, schema=schema)),
        what=f"Creating schema {schema}",
        creates=True,
    )
    scripts = [
        render("shared/drop_staging_table", root=root, **names),
        render(f"{pipeline.name}/create/{staging_table}", root=root, schema=schema),
    ]
    if manifest_url is not None:
        source = {"manifest_url": manifest_url, "role_arn": role_arn}
        scripts.append(render("shared/copy", root=root, **names, **source))
    count = render("shared/count_staging", root=root, **names)

    def copy(cursor: Cursor) -> int:
        _run(cursor, *scripts)
        return _scalar(cursor, count)

    try:
        rows = transact(conn, copy, what=f"COPY of {manifest_url} into {schema}.{staging_table}")
    except ConnectionLost:
        raise
    except WarehouseError as error:
        raise WarehouseError(f"{error} {_copy_detail(conn, root)}{_COPY_MEND}") from error
    logger.info("Warehouse: %s rows copied into %s.%s", rows, schema, staging_table)
    return rows


def load_window(
    conn: Connection,
    pipeline: Pipeline,
    *,
    run_id: str,
    window: Window,
    schema: str,
    manifests: Mapping[str, str],
    root: Path = ROOT,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """The rows now held: of each fact those of the window, of each dimension all.

    One transaction under the ledger's lock: the window's facts are replaced whichever run wrote them, dimensions
    and facts are loaded from staging, dimension rows that no fact references are dropped, and the ledger says so.
    Repeating it, or loading a window's days one by one in any order, ends in the same tables.
    `manifests` are the addresses of the jobs' output, by job. Raises WarehouseError; on ConnectionLost it is unknown
    whether the commit arrived: repeat the load, nothing is loaded twice.
    """
    values = {"schema": schema, "window_start": window.start, "window_end": window.end}
    load = _load_scripts(pipeline, root, values)
    counts = {table.name: _count(table, root, values) for table in pipeline.warehouse_tables}

    def work(cursor: Cursor) -> dict[str, int]:
        _run(cursor, *load)
        rows = {name: _scalar(cursor, sql) for name, sql in counts.items()}
        ledger = {"pipeline": pipeline.name, "run_id": run_id}
        ledger |= {"manifests": _json(manifests), "table_rows": _json(rows)}
        _run(cursor, render("shared/write_ledger", root=root, **values, **ledger))
        return rows

    started = time.monotonic()
    what = f"Loading {pipeline.name} for {window.start} to {window.end} (run {run_id})"
    rows = transact(conn, work, what=what, sleep=sleep)
    logger.info("%s: committed after %.1f s, rows %s", what, time.monotonic() - started, rows)
    return rows


def list_staging(conn: Connection, schema: str, *, root: Path = ROOT) -> set[str]:
    """The staging tables that the schema holds, in lower case; none where there is no such schema.

    Raises WarehouseError.
    """
    sql = render("shared/list_staging", root=root, schema=schema)
    rows = transact(conn, lambda cursor: _fetch(cursor, sql), what=f"Listing schema {schema}")
    return {name for (name,) in rows}


def drop_staging(conn: Connection, schema: str, *, root: Path = ROOT) -> None:
    """The schema and its tables are gone; absent is success. Raises WarehouseError."""
    if not _STAGING_SCHEMA.match(schema):
        raise WarehouseError(f"{schema!r} is no run's staging schema, so it is not dropped.")
    sql = render("shared/drop_schema", root=root, schema=schema)
    transact(conn, lambda cursor: _run(cursor, sql), what=f"Dropping schema {schema}")
    logger.info("Warehouse: staging schema %s dropped", schema)


def prune_stray_staging(conn: Connection, keep: Collection[str], *, root: Path = ROOT) -> list[str]:
    """The staging schemas that were dropped: those of runs that ended without it, all but `keep`.

    Raises WarehouseError.
    """
    sql = render("shared/list_schemas", root=root)
    schemas = transact(conn, lambda cursor: _fetch(cursor, sql), what="Listing schemas")
    strays = [name for (name,) in schemas if _STAGING_SCHEMA.match(name) and name not in keep]
    for name in strays:
        drop_staging(conn, name, root=root)
    return strays


def ask(conn: Connection, pipeline: Pipeline, answer: str, *, root: Path = ROOT) -> Result:
    """The answer to one of the pipeline's questions. Raises WarehouseError."""
    sql = render(f"{pipeline.name}/answers/{answer}", root=root)

    def work(cursor: Cursor) -> Result:
        rows = _fetch(cursor, sql)
        return Result(columns_of(cursor), tuple(tuple(plain(value) for value in row) for row in rows))

    return transact(conn, work, what=f"Asking {answer}")


def columns_of(cursor: Cursor) -> tuple[str, ...]:
    """The column names of what the cursor last read."""
    return tuple(column.name for column in cursor.description or ())


def plain(value: Any) -> Any:
    """A value of the warehouse as JSON can hold it: dates as ISO text, decimals as floats."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value


def _load_scripts(pipeline: Pipeline, root: Path, values: Mapping[str, Any]) -> list[str]:
    scripts = [render("shared/lock_ledger", root=root)]
    for fact in pipeline.facts:
        place = {"table": fact.name, "column": fact.window_column}
        scripts.append(render("shared/replace_window", root=root, **place, **values))
    for table in pipeline.warehouse_tables:
        scripts.append(render(f"{pipeline.name}/load/{table.name}", root=root, **values))
    for dimension in pipeline.dimensions:
        scripts.append(render(f"{pipeline.name}/prune/{dimension.name}", root=root, **values))
    return scripts


def _count(table: Dimension | Fact, root: Path, values: Mapping[str, Any]) -> str:
    if isinstance(table, Fact):
        place = {"table": table.name, "column": table.window_column}
        return render("shared/count_window", root=root, **place, **values)
    return render("shared/count", root=root, table=table.name)


def _copy_detail(conn: Connection, root: Path) -> str:
    """What the warehouse noted of the rows it refused; empty where it noted nothing or does not answer."""
    sql = render("shared/load_errors", root=root)
    try:
        rows = transact(conn, lambda cursor: _fetch(cursor, sql), what="Reading the errors of COPY")
    except WarehouseError as error:
        logger.warning("The detail of the failed COPY cannot be read: %s", error)
        return ""
    return "".join(
        f"[{str(file).strip()} line {line}, column {str(column).strip()} ({str(kind).strip()}): "
        f"{code} {str(message).strip()}] "
        for file, line, column, kind, code, message in rows
    )


def _run(cursor: Cursor, *scripts: str) -> None:
    for script in scripts:
        for statement in statements(script):
            started = time.monotonic()
            cursor.execute(statement)
            logger.debug("%.2f s: %s", time.monotonic() - started, statement.splitlines()[0])


def _fetch(cursor: Cursor, script: str) -> list[tuple[Any, ...]]:
    (statement,) = statements(script)
    cursor.execute(statement)
    return cursor.fetchall()


def _scalar(cursor: Cursor, script: str) -> int:
    ((value,),) = _fetch(cursor, script)
    return int(value)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
