"""Rewrites QUALIFY, TOP, LISTAGG, DECODE, NVL2 and MEDIAN for PostgreSQL, which needs the parsed query.

It uses sqlglot, which is slow to import, so this module is imported by the first query that needs it.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import SqlglotError

from sandbox.errors import RedshiftError
from sandbox.redshift.errors import SYNTAX_ERROR


class _Dialect(Redshift):
    class Parser(Redshift.Parser):
        # All other functions keep their names: catalog.sql defines them, and sqlglot would only approximate them.
        FUNCTIONS = {  # noqa: RUF012 - the base class's own form
            name: build
            for name, build in Redshift.Parser.FUNCTIONS.items()
            if name in {"LISTAGG", "DECODE", "NVL2", "MEDIAN", "COALESCE"}
        }


def rewrite_structure(sql: str) -> str:
    """The query with QUALIFY, TOP, LISTAGG, DECODE, NVL2 and MEDIAN replaced. Raises RedshiftError."""
    try:
        tree = sqlglot.parse_one(sql, read=_Dialect)
        for call in list(tree.find_all(exp.GroupConcat)):
            group = call.parent if isinstance(call.parent, exp.WithinGroup) else None
            (group or call).replace(_string_agg(call, group.expression if group else None))
        for median in list(tree.find_all(exp.Median)):
            median.replace(_percentile(median.this))
        return tree.sql(dialect="postgres")
    except SqlglotError as error:
        raise RedshiftError(f"syntax error: {str(error).splitlines()[0]}", SYNTAX_ERROR) from None


def _string_agg(call: exp.GroupConcat, order: exp.Expression | None) -> exp.Expression:
    """LISTAGG([DISTINCT] x [, separator]) [WITHIN GROUP (ORDER BY …)] as STRING_AGG."""
    value, separator = call.this, call.args.get("separator")
    distinct = isinstance(value, exp.Distinct)
    if distinct:
        separator = separator or (value.expressions[1] if len(value.expressions) > 1 else None)
        value = value.expressions[0]
    text = f"CAST({value.sql(dialect='postgres')} AS VARCHAR)"
    order_sql = (
        f" ORDER BY {text}" if distinct and order else f" {order.sql(dialect='postgres')}" if order else ""
    )
    separator_sql = separator.sql(dialect="postgres") if separator else "''"
    return exp.maybe_parse(
        f"STRING_AGG({'DISTINCT ' if distinct else ''}{text}, {separator_sql}{order_sql})", dialect="postgres"
    )


def _percentile(value: exp.Expression) -> exp.Expression:
    return exp.maybe_parse(
        f"PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY {value.sql(dialect='postgres')})", dialect="postgres"
    )
