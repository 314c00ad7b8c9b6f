"""Rendering the SQL of `sql_templates/`: where the files are, and how values and identifiers get into them.

Templates lie below one root, one file for each table and step:

    <pipeline>/create/<table>.sql    every table, staging included
    <pipeline>/load/<table>.sql      tables of the warehouse: one SELECT of what is loaded (`select_template`)
    <pipeline>/answers/<answer>.sql  one SELECT
    shared/**.sql    ledger, staging schema, COPY, loads, checks, how answers are published: the same for every pipeline

All SQL is in those files, also that of the checks and of COPY, so that one test parses every statement in
Redshift's dialect. Jinja inserts values and identifiers and nothing else: no `if`, no `for`.
The statements are run by `cursor`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
)

from airflow_lib.checkout import find_in_checkout
from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import IDENTIFIER

ROOT = find_in_checkout("sql_templates")

# In our templates a semicolon at the end of a line ends a statement, and nothing else does; a comment has a line of
# its own. No literal spans lines (`_string`), so none is mistaken for either.
_END_OF_STATEMENT = re.compile(r";[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*--[^\n]*\n?", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x1f\\]")

# https://docs.aws.amazon.com/redshift/latest/dg/r_names.html: 127 bytes at most.
MAX_IDENTIFIER_BYTES = 127


class Script(str):
    """Rendered SQL; `template` is the file it was rendered from, for messages."""

    __slots__ = ("template",)
    template: str

    def __new__(cls, sql: str, template: str) -> Self:
        script = super().__new__(cls, sql)
        script.template = template
        return script


def render(name: str, *, root: Path = ROOT, **values: Any) -> Script:
    """The SQL of template `name` (a path below `root`, without `.sql`).

    Raises WarehouseError where the template is missing or is none, lacks a value, or is given one that is not safe.
    """
    try:
        sql = _environment(root).get_template(f"{name}.sql").render(**values).strip() + "\n"
    except TemplateNotFound as error:
        raise WarehouseError(
            f"There is no SQL template {error.name} below {root.name}/. Write it: the pipeline declares it."
        ) from error
    except UndefinedError as error:
        raise WarehouseError(
            f"SQL template {name}.sql: {error}. Correct the template: it may use only the values that it is given, "
            f"here {', '.join(sorted(values)) or 'none'}."
        ) from error
    except TemplateSyntaxError as error:
        raise WarehouseError(
            f"SQL template {name}.sql, line {error.lineno}: {error.message}. Correct the template: it may hold nothing "
            "of Jinja but values, as {{ table | ident }}."
        ) from error
    except UnicodeDecodeError as error:
        raise WarehouseError(f"SQL template {name}.sql is not UTF-8 ({error}): save it as UTF-8.") from error
    return Script(sql, f"{root.name}/{name}.sql")


def read_template(name: str, *, root: Path = ROOT) -> str:
    """The text of template `name`, as it is written. Raises WarehouseError where it is missing or is none."""
    environment = _environment(root)
    try:
        return environment.loader.get_source(environment, f"{name}.sql")[0]  # type: ignore[union-attr]
    except (TemplateNotFound, UnicodeDecodeError) as error:
        raise WarehouseError(
            f"SQL template {name}.sql below {root.name}/ cannot be read: {error}."
        ) from error


def statements(sql: str) -> list[str]:
    """The statements of rendered SQL, in order, without comments and closing semicolons."""
    parts = (part.strip() for part in _END_OF_STATEMENT.split(_COMMENT.sub("", sql)))
    return [part for part in parts if part]


def ident(name: str | tuple[str, ...]) -> str:
    """A table's, column's or schema's name, checked, quoted, and in lower case; (schema, table) with a dot between.

    Redshift folds names to lower case, quoted or not: https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
    Raises WarehouseError.
    """
    if isinstance(name, tuple):
        return ".".join(ident(part) for part in name)
    if not IDENTIFIER.match(name) or len(name) > MAX_IDENTIFIER_BYTES:
        raise WarehouseError(
            f"{name!r} is not an SQL identifier. Use letters, digits and _, a letter first, "
            f"at most {MAX_IDENTIFIER_BYTES}."
        )
    return f'"{name.lower()}"'


def equal(columns: Sequence[str], one: str, other: str) -> str:
    """The condition that rows of two tables or aliases have the same values in all of these columns."""
    return " AND ".join(f"{ident((one, column))} = {ident((other, column))}" for column in columns)


def literal(value: object) -> str:
    """A value as an SQL literal; a tuple or list of values as `(…, …)` for IN; a `datetime` as a TIMESTAMP in UTC.

    A backslash is refused, not escaped: Redshift reads it as an escape in every string, other databases only in some,
    and none of our values needs one. Raises WarehouseError.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, datetime):
        return f"'{_instant(value)}'"
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return _list(value)
    raise WarehouseError(
        f"{value!r} cannot be an SQL literal: it is a {type(value).__name__}. "
        "Pass text, a number, a date, an instant, a list of these, or None."
    )


def _instant(value: datetime) -> str:
    """As a TIMESTAMP in UTC: that type has no time zone, and an offset in its text is ignored, not applied.

    https://docs.aws.amazon.com/redshift/latest/dg/r_Datetime_types.html,
    https://www.postgresql.org/docs/current/datatype-datetime.html
    """
    if value.tzinfo is None:
        raise WarehouseError(
            f"{value!r} cannot be an SQL literal: it has no time zone, so it is no instant. Pass one in UTC."
        )
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _string(value: str) -> str:
    if _CONTROL.search(value):
        raise WarehouseError(
            f"{value!r} cannot be an SQL literal: it holds a backslash or a control character. Pass text without them."
        )
    return "'" + value.replace("'", "''") + "'"


def _list(values: Iterable[object]) -> str:
    rendered = ", ".join(literal(value) for value in values)
    if not rendered:
        raise WarehouseError(
            "An empty list cannot be an SQL literal: IN () is not SQL. Pass at least one value."
        )
    return f"({rendered})"


@cache
def _environment(root: Path) -> Environment:
    # SQL, not HTML: `ident` and `literal` do the escaping.
    environment = Environment(
        loader=FileSystemLoader(root),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        keep_trailing_newline=True,
    )
    environment.filters.update(
        ident=_refuse_undefined(ident), literal=_refuse_undefined(literal), equal=_refuse_undefined(equal)
    )
    return environment


def _refuse_undefined(convert: Callable[..., str]) -> Callable[..., str]:
    """`convert` as a filter that raises UndefinedError, with the value's name, for a value that nobody passed."""

    def convert_defined(value: Any, *more: Any) -> str:
        for one in (value, *more):
            if isinstance(one, Undefined):
                return str(one)  # StrictUndefined raises here
        return convert(value, *more)

    return convert_defined
