"""Expressions and queries: Redshift's functions and clauses in PostgreSQL's words.

Most of Redshift's functions exist in PostgreSQL below under the same name (catalog.sql). Here are those whose
syntax differs, by token; and, by sqlglot, the few that need the query's structure.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import SqlglotError

from sandbox.redshift.errors import SYNTAX_ERROR, RedshiftError, not_simulated
from sandbox.redshift.lexer import Statement

_RENAMED = {"NVL": "COALESCE", "AVG": "rs_avg", "ISNULL": "COALESCE", "DATE_PART": "rs_date_part"}
_WITH_DATEPART = {"DATEADD", "DATEDIFF", "DATE_PART", "DATE_DIFF"}
_STRUCTURAL = {"QUALIFY", "TOP", "LISTAGG", "DECODE", "NVL2", "MEDIAN"}
_QUERIES = {"SELECT", "WITH", "INSERT", "CREATE", "UPDATE", "DELETE", "(", "EXPLAIN", "DECLARE"}


def rewrite_expressions(statement: Statement) -> None:
    """Make the edits that a token and its neighbours decide."""
    for index, token in enumerate(statement.tokens):
        word, called = token.word, statement.word(index + 1) == "("
        if token.kind == "quoted" and token.text != token.text.lower():
            statement.replace(index, index, token.text.lower())  # Redshift folds quoted names too
        qualified = statement.word(index - 1) == "."
        if not word or qualified:
            continue
        if word in _RENAMED and called:
            statement.replace(index, index, _RENAMED[word])
        if word in _WITH_DATEPART and called and index + 2 < len(statement.tokens):
            _rewrite_datepart(statement, index)
        elif word == "EXTRACT" and called and statement.word(index + 3) == "FROM":
            statement.replace(index, index, "rs_extract")
            _quote(statement, index + 2)
            statement.replace(index + 3, index + 3, ",")
        elif word == "SYSDATE":
            statement.replace(index, index, "rs_sysdate()")
        elif word == "MINUS":
            statement.replace(index, index, "EXCEPT")


def _rewrite_datepart(statement: Statement, index: int) -> None:
    part = statement.tokens[index + 2]
    name = part.value if part.kind == "string" else part.name
    if "DIFF" in statement.word(index) and name.lower() in {"week", "weeks", "w"}:
        raise not_simulated("DATEDIFF by week")
    if part.is_name:
        _quote(statement, index + 2)


def _quote(statement: Statement, index: int) -> None:
    statement.replace(index, index, f"'{statement.tokens[index].name}'")


def needs_structure(statement: Statement) -> bool:
    """Whether a word stands in it whose rewriting needs the whole query's structure."""
    return statement.word(0) in _QUERIES and any(token.word in _STRUCTURAL for token in statement.tokens)


class _Dialect(Redshift):
    class Parser(Redshift.Parser):
        # Everything else is called by its own name below, instead of by sqlglot's approximation.
        FUNCTIONS = {  # noqa: RUF012 - the base class's own form
            name: build
            for name, build in Redshift.Parser.FUNCTIONS.items()
            if name in {"LISTAGG", "DECODE", "NVL2", "MEDIAN", "COALESCE"}
        }


def rewrite_structure(sql: str) -> str:
    """The query with QUALIFY, TOP, LISTAGG, DECODE, NVL2 and MEDIAN in PostgreSQL's words."""
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
