"""SQL read in Redshift's dialect, without a warehouse.

sqlglot is imported only where SQL is read: it takes 0.1 s, and every task parses its DAG's file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.sql import Script

if TYPE_CHECKING:
    from sqlglot import exp


def parse_script(script: Script) -> list[exp.Expr]:
    """The statements of rendered SQL, as sqlglot reads them.

    What sqlglot does not know comes back as an `exp.Command`. Raises WarehouseError that names template and line.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError, SqlglotError

    try:
        parsed = sqlglot.parse(script, read="redshift")
    except ParseError as error:
        found = error.errors[0]
        read = f"{found.get('start_context') or ''}{found.get('highlight') or ''}"
        near = read.splitlines()[-1].strip() if read.strip() else ""
        raise WarehouseError(
            f"{script.template}, line {found.get('line')}: this is not SQL of Redshift, near {near!r}: "
            f"{found.get('description')}. Correct it."
        ) from error
    except SqlglotError as error:
        raise WarehouseError(
            f"{script.template}: this is not SQL of Redshift: {error}. Correct it."
        ) from error
    # A comment after the last statement is an exp.Semicolon.
    return [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]


def parse_type(kind: str) -> exp.DataType | None:
    """A type such as `character varying(8)`; None where sqlglot does not know it."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        return exp.DataType.build(kind, dialect="redshift")
    except SqlglotError:
        return None
