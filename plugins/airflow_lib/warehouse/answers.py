"""Answers in the warehouse: the tables that some of them are, and how all of them get to S3.

What an answer's SELECT returns is held in a table while it is published: its own, or a temporary one. So the query may
end in LIMIT, which UNLOAD refuses, it is asked once, and both files, the count and the rows that are shown agree:
https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html#unload-usage-limit-clause
Everything here may be repeated: it ends the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_lib.aws.causes import Cause, cause_of, hint_of
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ConnectionLost, StatementRefused, WarehouseError
from airflow_lib.pipeline import Answer, Pipeline, Severity
from airflow_lib.warehouse.connection import Connection, Cursor, transact
from airflow_lib.warehouse.cursor import Result, fetch_count, fetch_result, run_script
from airflow_lib.warehouse.quality import CheckContext, Verdict, describe_failing, judge, render_check
from airflow_lib.warehouse.query import list_tables, order_by
from airflow_lib.warehouse.sql import ROOT, Script, render, statements

logger = logging.getLogger(__name__)

_UNLOADS = (("shared/answers/unload_parquet", "parquet"), ("shared/answers/unload_csv", "csv"))
FORMATS = tuple(kind for _, kind in _UNLOADS)
SHOWN_ROWS = 10

# No answer and no table may be called so (`declaration.answers`).
_TEMPORARY = "mayfly_answer"
_NEW = "mayfly_new"

_REFUSED_BY_AWS = frozenset({Cause.LAG, Cause.BOUNDARY, Cause.DENIED})
_UNLOAD_HINT = (
    "Parquet takes no column of type GEOMETRY, HLLSKETCH or VARBYTE: where the answer has one, let it return that as "
    "text, CAST(… AS VARCHAR)."
)


@dataclass(frozen=True)
class Rebuilt:
    """What came of rebuilding an answer's table; `refused` says why nothing was committed, empty where all was."""

    verdicts: tuple[Verdict, ...]
    refused: str = ""


@dataclass(frozen=True)
class Asked:
    """An answer: how many rows it has, the first of them, and what `settle` said of its files."""

    row_count: int
    first: Result
    published: Mapping[str, str]


class _Refused(Exception):
    """Roll back, and say what was found."""

    def __init__(self, verdicts: tuple[Verdict, ...]) -> None:
        super().__init__()
        self.verdicts = verdicts


def rebuild(
    conn: Connection,
    pipeline: Pipeline,
    answer: Answer,
    context: CheckContext,
    *,
    root: Path = ROOT,
    sleep: Callable[[float], None] = time.sleep,
) -> Rebuilt:
    """Replace the answer's table by what its SELECT returns now, unless a check of severity error finds rows in that.

    One transaction, under the lock that loads follow one another by: readers have the table of the run before until it
    commits, and keep it where it does not. Raises WarehouseError.
    """
    names = {"schema": pipeline.answers_schema, "table": answer.name, "new": _NEW}
    query = _query(pipeline, answer, root)
    questions = [render_check(check, context) for check in answer.checks]

    def work(cursor: Cursor) -> tuple[Verdict, ...]:
        run_script(cursor, render("shared/lock_loads", root=root))
        run_script(cursor, _of(query, "shared/answers/build_table", root=root, **names))
        run_script(cursor, render("shared/answers/swap_table", root=root, **names))
        verdicts = judge(cursor, questions)
        if any(not one.passed and one.severity == Severity.ERROR for one in verdicts):
            raise _Refused(verdicts)
        return verdicts

    try:
        verdicts = transact(conn, work, what=f"Rebuilding answer {answer.name}", sleep=sleep)
    except _Refused as refused:
        failing = [one for one in refused.verdicts if not one.passed and one.severity == Severity.ERROR]
        logger.warning("Answer %s: rolled back", answer.name)
        return Rebuilt(
            refused.verdicts,
            f"Answer {answer.name}: its table and what is published of it are as they were, for "
            f"{describe_failing(failing)}",
        )
    logger.info("Warehouse: table %s.%s rebuilt", pipeline.answers_schema, answer.name)
    return Rebuilt(verdicts)


def unload(
    conn: Connection,
    pipeline: Pipeline,
    answer: Answer,
    *,
    location: S3Location,
    role_arn: str,
    settle: Callable[[int], Mapping[str, str]],
    root: Path = ROOT,
    sleep: Callable[[float], None] = time.sleep,
) -> Asked:
    """Write the answer below `location` in each of `FORMATS`, in place of what is there: `file_key` says where.

    It is asked, written and settled under the lock that loads follow one another by: of two runs at once, the one that
    publishes last has seen what the other one loaded. `settle` is given the number of rows once they are written.
    Of an answer without rows nothing is written: UNLOAD makes no file of no row:
    https://github.com/spark-redshift-community/spark-redshift/issues/40
    Raises WarehouseError; one of the files may be new by then.
    """
    query = _query(pipeline, answer, root)
    table = (pipeline.answers_schema, answer.name) if answer.table else _TEMPORARY
    ordered = render("shared/answers/select", root=root, table=table, order=order_by(query))
    (select,) = statements(ordered)

    def work(cursor: Cursor) -> Asked:
        run_script(cursor, render("shared/lock_loads", root=root))
        if not answer.table:
            run_script(cursor, _of(query, "shared/answers/materialize", root=root, table=table))
        count = fetch_count(cursor, render("shared/count", root=root, table=table))
        script = render("shared/answers/first_rows", root=root, select=select, limit=SHOWN_ROWS)
        first = fetch_result(cursor, script)
        for template, kind in _UNLOADS if count else ():
            prefix = location.uri(kind, f"{answer.name}_")
            run_script(cursor, render(template, root=root, select=select, prefix=prefix, role_arn=role_arn))
        return Asked(count, first, settle(count))

    try:
        asked = transact(conn, work, what=f"Publishing answer {answer.name}", sleep=sleep)
    except ConnectionLost:
        raise
    except WarehouseError as error:
        raise type(error)(f"{error} {_hint_of(error)}".rstrip()) from error
    logger.info("Warehouse: %s rows of answer %s unloaded to %s", asked.row_count, answer.name, location)
    return asked


def file_key(answer: Answer, location: S3Location, kind: str) -> str:
    """The key of the answer's file in one of `FORMATS`: UNLOAD numbers its files from 000, each of up to 6.2 GB."""
    return location.key(kind, f"{answer.name}_000.{kind}")


def list_answers_read(pipeline: Pipeline, answer: Answer, *, root: Path = ROOT) -> tuple[str, ...]:
    """The tables of `Pipeline.answers_schema` that the answer's SELECT reads, as it writes them.

    None where the template cannot be read: `declaration.templates` tells of it.
    """
    try:
        return list_tables(_query(pipeline, answer, root), schema=pipeline.answers_schema)
    except WarehouseError:
        return ()


def list_tables_read(pipeline: Pipeline, answer: Answer, *, root: Path = ROOT) -> tuple[str, ...]:
    """The tables of the warehouse that the answer's SELECT reads, in declared order. Raises WarehouseError."""
    query = _query(pipeline, answer, root)
    read = {name.lower() for schema in ("", "public") for name in list_tables(query, schema=schema)}
    return tuple(table.name for table in pipeline.warehouse_tables if table.name.lower() in read)


def _hint_of(error: WarehouseError) -> str:
    if cause_of("", str(error)) in _REFUSED_BY_AWS:
        return hint_of("", str(error))
    return _UNLOAD_HINT if isinstance(error, StatementRefused) and "unload_parquet" in str(error) else ""


def _query(pipeline: Pipeline, answer: Answer, root: Path) -> Script:
    return render(f"{pipeline.name}/answers/{answer.name}", root=root)


def _of(query: Script, template: str, *, root: Path, **values: object) -> Script:
    """A statement about the answer's query; messages name the answer's own file."""
    (select,) = statements(query)
    return Script(render(template, root=root, query=select, **values), query.template)
