"""Refuses what Redshift does not support, and what the simulator does not support.

PostgreSQL would accept much of it, but a template that works here must also work on Redshift.
Source: Redshift Database Developer Guide, "Amazon Redshift and PostgreSQL" (unsupported features, data types
and functions).
"""

from __future__ import annotations

from sandbox.redshift.errors import not_simulated, not_supported, syntax_error
from sandbox.redshift.lexer import Statement

_SUPPORTED = {
    *("SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRUNCATE", "LOCK"),
    *("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "COPY", "UNLOAD", "ANALYZE", "VACUUM"),
    *("SET", "RESET", "SHOW", "EXPLAIN", "GRANT", "REVOKE", "COMMENT", "DECLARE", "FETCH", "CLOSE"),
}
_NOT_IN_REDSHIFT = {
    *("LISTEN", "NOTIFY", "UNLISTEN", "CLUSTER", "REINDEX", "CHECKPOINT", "DO", "SAVEPOINT", "RELEASE"),
    *("DISCARD", "LOAD", "VALUES", "TABLE", "MOVE", "SECURITY", "IMPORT"),
}
_CREATED = {"TABLE", "SCHEMA", "VIEW", "TEMP", "TEMPORARY", "LOCAL", "OR"}
_NEVER_CREATED = {
    *("INDEX", "UNIQUE", "SEQUENCE", "TRIGGER", "EXTENSION", "RULE", "TYPE", "DOMAIN", "AGGREGATE", "CAST"),
    *(
        "TABLESPACE",
        "COLLATION",
        "OPERATOR",
        "POLICY",
        "EVENT",
        "STATISTICS",
        "FOREIGN",
        "SERVER",
        "UNLOGGED",
    ),
}
TYPES_REDSHIFT_LACKS = {
    *("JSON", "JSONB", "BYTEA", "UUID", "SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL4", "SERIAL8", "MONEY"),
    *(
        "INET",
        "CIDR",
        "MACADDR",
        "XML",
        "TSVECTOR",
        "TSQUERY",
        "BIT",
        "VARBIT",
        "POINT",
        "LINE",
        "LSEG",
        "BOX",
    ),
    *("PATH", "POLYGON", "CIRCLE", "ARRAY", "HSTORE", "CITEXT", "OID"),
}
_FUNCTIONS_REDSHIFT_LACKS = {
    *(
        "STRING_AGG",
        "ARRAY_AGG",
        "JSON_AGG",
        "JSONB_AGG",
        "JSON_BUILD_OBJECT",
        "GEN_RANDOM_UUID",
        "MAKE_DATE",
    ),
    *("MAKE_TIMESTAMP", "FORMAT", "UNNEST", "CLOCK_TIMESTAMP", "STATEMENT_TIMESTAMP", "MODE", "BOOL_AGG"),
    *("REGEXP_MATCHES", "REGEXP_SPLIT_TO_TABLE", "STRING_TO_ARRAY", "ARRAY_TO_STRING", "GENERATE_SERIES"),
    *("CURRVAL", "NEXTVAL", "SETVAL", "LASTVAL", "OVERLAY", "CONCAT_WS", "TO_JSON", "ROW_TO_JSON", "XMLAGG"),
}
# Redshift has these, the simulator does not.
_NOT_SIMULATED = {"PIVOT", "UNPIVOT", "APPROXIMATE", "TABLESAMPLE"}


def refuse_statement(statement: Statement) -> None:
    """Raise RedshiftError for a kind of statement that is not supported."""
    first, second = statement.word(0), statement.word(1)
    if first in _NOT_IN_REDSHIFT:
        raise not_supported(f'SQL command "{first}" not supported.')
    if first not in _SUPPORTED:
        raise not_simulated(f"The statement {first or statement.tokens[0].text}")
    if first in {"CREATE", "DROP", "ALTER"} and second in _NEVER_CREATED:
        what = "INDEX" if second == "UNIQUE" else second
        raise not_supported(f'SQL command "{first} {what}" not supported on Redshift tables.')
    if first in {"CREATE", "DROP", "ALTER"} and second not in _CREATED:
        raise not_simulated(f"The statement {first} {second}")
    if first == "ROLLBACK" and "TO" in (second, statement.word(2)):
        raise not_supported('SQL command "ROLLBACK TO SAVEPOINT" not supported.')


def refuse_expressions(statement: Statement) -> None:
    """Raise RedshiftError for words in a statement that Redshift or the simulator does not support."""
    if statement.word(0) == "WITH":
        _refuse_writing_after_with(statement)
    for index, token in enumerate(statement.tokens):
        if token.kind == "dollar":
            raise not_simulated("A dollar-quoted string")
        if token.word:
            _refuse_word(statement, index)


def _refuse_writing_after_with(statement: Statement) -> None:
    index = 0
    while index < len(statement.tokens):
        if statement.word(index) in {"INSERT", "UPDATE", "DELETE"}:
            raise syntax_error(statement.tokens[index].text)
        index = statement.closing(index) + 1 if statement.word(index) == "(" else index + 1


def _refuse_word(statement: Statement, index: int) -> None:  # noqa: C901, PLR0912  a list of cases
    word, after = statement.word(index), statement.word(index + 1)
    before = statement.word(index - 1)
    if word == "ON" and after == "CONFLICT":
        raise syntax_error("CONFLICT")
    if word == "RETURNING" and statement.word(0) in {"INSERT", "UPDATE", "DELETE", "WITH"} and before != ".":
        raise syntax_error("RETURNING")
    if word == "VALUES" and before == "(":
        raise syntax_error("VALUES")
    if word == "FILTER" and before == ")" and after == "(":
        raise syntax_error("(")
    if word == "DISTINCT" and after == "ON" and before in {"SELECT", "ALL"}:
        raise not_supported("SELECT DISTINCT ON is not supported")
    if word == "DISTINCT" and before in {"IS", "NOT"} and after == "FROM":
        raise syntax_error("DISTINCT")
    if word == "FOR" and after in {"UPDATE", "SHARE"}:
        raise not_supported(f"SELECT FOR {after} is not supported")
    if word == "LATERAL":
        raise syntax_error("LATERAL")
    if word == "[" or (word == "ARRAY" and after in {"[", "("}):
        raise not_simulated("An array")
    if word == "#":
        raise not_simulated("A temporary table name with # (use CREATE TEMP TABLE instead)")
    if word in _FUNCTIONS_REDSHIFT_LACKS and after == "(" and before != ".":
        raise not_supported(f"function {word.lower()} is not supported on Redshift tables")
    if word in _NOT_SIMULATED:
        raise not_simulated(word)
    if before == "::" and word in TYPES_REDSHIFT_LACKS:
        raise not_supported(f'type "{word.lower()}" is not supported')
