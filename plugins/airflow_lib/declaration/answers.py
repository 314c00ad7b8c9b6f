"""Whether a declaration's answers can be tables, be published, and be checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_lib.declaration.checks import bound_mistakes
from airflow_lib.errors import WarehouseError, did_you_mean
from airflow_lib.pipeline import (
    IDENTIFIER,
    AcceptedValues,
    Answer,
    Between,
    Check,
    Complete,
    Fresh,
    Holds,
    NotNull,
    Pipeline,
    References,
    Unique,
    Window,
)
from airflow_lib.warehouse.answers import list_answers_read
from airflow_lib.warehouse.dialect import parse_script
from airflow_lib.warehouse.quality import CheckContext, render_check
from airflow_lib.warehouse.query import list_columns
from airflow_lib.warehouse.select_template import DAY, SCHEMA
from airflow_lib.warehouse.sql import MAX_IDENTIFIER_BYTES, ROOT, Script, render

# Redshift's own schemas, that of the pipeline's tables, and those of its runs (`naming.staging_schema`).
_RESERVED_SCHEMA = re.compile(r"public\Z|information_schema\Z|pg_|catalog_history\Z|staging_", re.IGNORECASE)
_OURS = "mayfly_"


def answer_mistakes(pipeline: Pipeline, *, root: Path = ROOT) -> Iterator[str]:
    """What keeps the answers from being rebuilt, published or checked; `templates` tells whether each is one SELECT."""
    yield from _schema_mistakes(pipeline.answers_schema)
    for position, answer in enumerate(pipeline.answers):
        before = [one.name for one in pipeline.answers[:position] if one.table]
        returned = _columns(pipeline, answer, root)
        yield from _name_mistakes(pipeline, answer)
        yield from _returned_mistakes(pipeline, answer, returned)
        yield from _reading_mistakes(pipeline, answer, before, root)
        for check in answer.checks:
            yield from _check_mistakes(pipeline, answer, check, returned, before)


def _schema_mistakes(schema: str) -> Iterator[str]:
    if not IDENTIFIER.match(schema) or len(schema) > MAX_IDENTIFIER_BYTES:
        yield f"answers_schema {schema!r}: use letters, digits and _, no digit first"
    elif _RESERVED_SCHEMA.match(schema):
        yield (
            f"answers_schema {schema!r} holds other tables than answers, of Redshift, of the pipeline or of its runs: "
            "choose another name, such as 'answers'"
        )


def _columns(pipeline: Pipeline, answer: Answer, root: Path) -> Sequence[str]:
    """The columns that the answer returns; none where its template does not tell: `templates` says why."""
    try:
        return list_columns(render(f"{pipeline.name}/answers/{answer.name}", root=root))
    except WarehouseError:
        return ()


def _name_mistakes(pipeline: Pipeline, answer: Answer) -> Iterator[str]:
    where = f"answer {answer.name!r}"
    if answer.name.lower().startswith(_OURS):
        yield f"{where}: names with {_OURS} first are those of Mayfly's own tables: choose another"
    if not answer.table:
        if answer.checks:
            yield f"{where} has checks, and no table to ask: declare it with table=True, or leave them out"
        return
    if answer.name.lower() in {table.name.lower() for table in pipeline.tables}:
        yield f"{where} has the name of a table, so that a check of it could mean either: choose another"


def _returned_mistakes(pipeline: Pipeline, answer: Answer, returned: Sequence[str]) -> Iterator[str]:
    where = f"{pipeline.name}/answers/{answer.name}.sql"
    if "" in returned:
        yield (
            f"{where}: column {list(returned).index('') + 1} has no name, and what is published needs one: "
            "write … AS name"
        )
    for name, times in Counter(name.lower() for name in returned if name).items():
        if times > 1:
            yield f"{where} returns {times} columns of the name {name!r}: give each its own, … AS name"


def _reading_mistakes(pipeline: Pipeline, answer: Answer, before: Sequence[str], root: Path) -> Iterator[str]:
    tables = {one.name.lower() for one in pipeline.answer_tables}
    known = {name.lower() for name in before}
    for name in list_answers_read(pipeline, answer, root=root):
        where = f"{pipeline.name}/answers/{answer.name}.sql reads {pipeline.answers_schema}.{name}, which is"
        if name.lower() in known:
            continue
        if name.lower() == answer.name.lower():
            yield f"{where} this answer itself: read the tables that it is made of"
        elif name.lower() in tables:
            yield f"{where} declared after it: declare Answer({name!r}, table=True) before it"
        else:
            yield (
                f"{where} no answer that is a table: declare Answer({name!r}, table=True) before it, or correct the "
                f"name{did_you_mean(name, before)}"
            )


def _check_mistakes(
    pipeline: Pipeline, answer: Answer, check: Check, returned: Sequence[str], before: Sequence[str]
) -> Iterator[str]:
    where = f"answer {answer.name!r}: check {check.name!r}"
    if isinstance(check, Complete):
        yield f"{where} compares what a load staged, and an answer stages nothing: declare it in Pipeline.checks"
        return
    if check.table != answer.name:
        yield f"{where} names table {check.table!r}: the checks of an answer name its own, {answer.name!r}"
        return
    yield from (f"answer {answer.name!r}: {mistake}" for mistake in bound_mistakes(check))
    if isinstance(check, References):
        tables = [*(table.name for table in pipeline.tables), *before, answer.name]
        if check.to_table not in tables:
            yield (
                f"{where} names table {check.to_table!r}, which is not declared, or is an answer after it: correct "
                f"the name{did_you_mean(check.to_table, tables)}"
            )
    known = [name.lower() for name in returned]
    for column in _columns_of(check) if returned and "*" not in returned else ():
        if column.lower() not in known:
            yield (
                f"{where}: column {column!r} is none that {pipeline.name}/answers/{answer.name}.sql returns: correct "
                f"the one or the other{did_you_mean(column, returned)}"
            )
    yield from _query_mistakes(pipeline, where, check)


def _columns_of(check: Check) -> Sequence[str]:
    match check:
        case NotNull() | Unique():
            return check.columns
        case References() | AcceptedValues() | Between() | Fresh():
            return (check.column,)
    return ()


def _query_mistakes(pipeline: Pipeline, where: str, check: Check) -> Iterator[str]:
    if isinstance(check, NotNull | Unique) and not check.columns:
        yield f"{where} names no columns: name at least one"
        return
    if isinstance(check, Holds) and not check.predicate.strip():
        yield f"{where} has no predicate: write the condition that every row meets"
        return
    context = CheckContext(pipeline, Window(*DAY), SCHEMA, written={})
    try:
        parse_script(Script(render_check(check, context).failing, "its SQL"))
    except WarehouseError as error:
        yield f"{where}: {error.message}"
