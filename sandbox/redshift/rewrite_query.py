"""Rewrites expressions for PostgreSQL that can be recognised by a token and its neighbours.

catalog.sql gives PostgreSQL most of Redshift's functions under the same name. Here are those with a different
syntax; `rewrite_structure` handles those that need the parsed query.
"""

from __future__ import annotations

from sandbox.redshift.errors import not_simulated
from sandbox.redshift.lexer import Statement

_RENAMED = {"NVL": "COALESCE", "AVG": "rs_avg", "ISNULL": "COALESCE", "DATE_PART": "rs_date_part"}
_WITH_DATEPART = {"DATEADD", "DATEDIFF", "DATE_PART", "DATE_DIFF"}
_STRUCTURAL = {"QUALIFY", "TOP", "LISTAGG", "DECODE", "NVL2", "MEDIAN"}
_QUERIES = {"SELECT", "WITH", "INSERT", "CREATE", "UPDATE", "DELETE", "(", "EXPLAIN", "DECLARE"}


def rewrite_expressions(statement: Statement) -> None:
    """Edit the expressions that a token and its neighbours identify."""
    for index, token in enumerate(statement.tokens):
        word, called = token.word, statement.word(index + 1) == "("
        if token.kind == "quoted" and token.text != token.text.lower():
            statement.replace(
                index, index, token.text.lower()
            )  # Redshift folds quoted names to lower case, too
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
    """Whether the statement contains a word whose rewriting needs the parsed query."""
    return statement.word(0) in _QUERIES and any(token.word in _STRUCTURAL for token in statement.tokens)
