"""What is done in the warehouse around a load: tables, COPY into staging.

Every function takes an open connection (`connection.connect`), and is safe to repeat: creating is idempotent, a COPY
starts from an empty staging table.
The SQL is in `sql_templates/` (see `sql`); the load itself is in `publish`, checks are in `quality`, answers in
`answers`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

from airflow_lib.aws.causes import Cause, cause_of, hint_of
from airflow_lib.errors import ConnectionLost, WarehouseError
from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse.connection import Connection, Cursor, transact
from airflow_lib.warehouse.cursor import fetch_count, fetch_rows, run_script
from airflow_lib.warehouse.schema_changes import ensure_columns
from airflow_lib.warehouse.sql import ROOT, Script, render

logger = logging.getLogger(__name__)

# Exactly the schemas that `naming.staging_schema` names: no other schema is ever dropped.
_STAGING_SCHEMA = re.compile(r"staging_[0-9a-f]{12}\Z")

# Mayfly's own tables, in sql_templates/shared/create/.
LEDGER = ("mayfly_loads", "mayfly_load_lock")

# Where AWS refuses the role or the bucket, the columns are not at fault.
_REFUSED_BY_AWS = frozenset({Cause.LAG, Cause.BOUNDARY, Cause.DENIED})
_COPY_HINT = "Compare the Spark job's columns (COPY matches them by position) with the staging table's."


def create_tables(conn: Connection, pipeline: Pipeline, *, root: Path = ROOT) -> list[str]:
    """Create the load ledger and the pipeline's tables; what exists gets the columns that its template has more.

    Returns the columns that were added, as `table.column`. Raises StatementRefused where a table differs from its
    template otherwise, WarehouseError.
    """
    folders = dict.fromkeys(LEDGER, "shared") | {
        table.name: pipeline.name for table in pipeline.warehouse_tables
    }
    scripts = [render(f"{folder}/create/{table}", root=root) for table, folder in folders.items()]

    def work(cursor: Cursor) -> list[str]:
        _run_scripts(cursor, scripts)
        return ensure_columns(cursor, folders, root=root)

    what = f"Creating the tables of {pipeline.name}"
    added = transact(conn, work, what=what, creates=True)
    logger.info("Warehouse: the ledger and %s tables of %s exist", len(scripts) - len(LEDGER), pipeline.name)
    if added:
        logger.warning("Warehouse: added, as the create templates have them: %s", ", ".join(added))
    return added


def copy_staging(
    conn: Connection,
    pipeline: Pipeline,
    staging_table: str,
    *,
    schema: str,
    manifest_url: str | None,
    role_arn: str,
    manifest: str = "",
    root: Path = ROOT,
) -> int:
    """Replace the staging table by one that holds the manifest's Parquet files; how many rows it holds.

    `manifest` is the manifest's hash, by which `list_staging` tells what the table holds.
    Pass None for a manifest without entries, since COPY fails where it finds no file:
    https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html
    Raises WarehouseError with the warehouse's own detail of the rows that it could not load.
    """
    names = {"schema": schema, "table": staging_table}
    # In a transaction of its own: the other staging tables are copied at the same time, and would wait for its commit.
    transact(
        conn,
        lambda cursor: run_script(cursor, render("shared/create_schema", root=root, schema=schema)),
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
    scripts.append(render("shared/mark_staging", root=root, manifest=manifest, **names))
    count = render("shared/count_staging", root=root, **names)

    def work(cursor: Cursor) -> int:
        _run_scripts(cursor, scripts)
        return fetch_count(cursor, count)

    try:
        rows = transact(conn, work, what=f"COPY of {manifest_url} into {schema}.{staging_table}")
    except ConnectionLost:
        raise
    except WarehouseError as error:
        refused = cause_of("", str(error)) in _REFUSED_BY_AWS
        hint = hint_of("", str(error)) if refused else _COPY_HINT
        raise type(error)(f"{error} {_read_copy_errors(conn)}{hint}") from error
    logger.info("Warehouse: %s rows copied into %s.%s", rows, schema, staging_table)
    return rows


def list_staging(conn: Connection, schema: str) -> dict[str, str]:
    """The staging tables in the schema, in lower case, and of each the hash of the manifest that it was copied by.

    The hash is empty where the copy named none. None are there where the schema does not exist. Raises WarehouseError.
    """
    script = render("shared/list_staging", schema=schema)
    rows = transact(conn, lambda cursor: fetch_rows(cursor, script), what=f"Listing schema {schema}")
    return {name: manifest or "" for name, manifest in rows}


def drop_staging(conn: Connection, schema: str) -> None:
    """Drop a run's staging schema with its tables; absent is success.

    Raises WarehouseError, also for any schema that is not a run's staging schema.
    """
    if not _STAGING_SCHEMA.match(schema):
        raise WarehouseError(
            f"Schema {schema!r} is not dropped: a run's staging schema, staging_<12 hex digits>, was expected. "
            "If nobody needs it, drop it by hand."
        )
    script = render("shared/drop_schema", schema=schema)
    transact(conn, lambda cursor: run_script(cursor, script), what=f"Dropping schema {schema}")
    logger.info("Warehouse: staging schema %s dropped", schema)


def drop_orphan_staging(conn: Connection, keep: Collection[str]) -> list[str]:
    """Drop the staging schemas of runs that ended without doing so, all but `keep`; the schemas dropped.

    Raises WarehouseError.
    """
    schemas = _list_names(conn, render("shared/list_schemas"), "Listing schemas")
    orphans = [name for name in schemas if _STAGING_SCHEMA.match(name) and name not in keep]
    for name in orphans:
        drop_staging(conn, name)
    return orphans


def _read_copy_errors(conn: Connection) -> str:
    """What the warehouse recorded of the rows it refused; empty where it recorded nothing or does not answer."""
    script = render("shared/load_errors")
    try:
        rows = transact(conn, lambda cursor: fetch_rows(cursor, script), what="Reading the errors of COPY")
    except WarehouseError as error:
        logger.warning("The detail of the failed COPY cannot be read: %s", error)
        return ""
    return "".join(
        f"[{str(file).strip()} line {line}, column {str(column).strip()} ({str(kind).strip()}): "
        f"{code} {str(message).strip()}] "
        for file, line, column, kind, code, message in rows
    )


def _list_names(conn: Connection, script: Script, what: str) -> list[str]:
    rows = transact(conn, lambda cursor: fetch_rows(cursor, script), what=what)
    return [name for (name,) in rows]


def _run_scripts(cursor: Cursor, scripts: Collection[Script]) -> None:
    for script in scripts:
        run_script(cursor, script)
