"""Translates one statement in Redshift's dialect into what the proxy does for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from sandbox.redshift.copy_command import CopyCommand, parse_copy
from sandbox.redshift.errors import not_simulated, not_supported
from sandbox.redshift.lexer import Statement
from sandbox.redshift.refuse import refuse_expressions, refuse_statement
from sandbox.redshift.rewrite_ddl import Layout, is_create_table, rewrite_alter_table, rewrite_create_table
from sandbox.redshift.rewrite_query import needs_structure, rewrite_expressions
from sandbox.redshift.unload_command import UnloadCommand, parse_unload

_ISOLATION = re.compile(
    r"\s*,?\s*ISOLATION\s+LEVEL\s+(?:SERIALIZABLE|REPEATABLE\s+READ|READ\s+(?:UN)?COMMITTED)", re.IGNORECASE
)
_POSTGRES_SETTINGS = {
    *("SEARCH_PATH", "TIMEZONE", "TIME", "STATEMENT_TIMEOUT", "DATESTYLE", "CLIENT_ENCODING", "TRANSACTION"),
    *("EXTRA_FLOAT_DIGITS", "APPLICATION_NAME", "SESSION", "CLIENT_MIN_MESSAGES", "INTERVALSTYLE"),
}
_REDSHIFT_SETTINGS = {
    *("QUERY_GROUP", "ENABLE_RESULT_CACHE_FOR_SESSION", "WLM_QUERY_SLOT_COUNT", "ANALYZE_THRESHOLD_PERCENT"),
    *("DESCRIBE_FIELD_NAME_IN_UPPERCASE", "MAX_CURSOR_RESULT_SET_SIZE", "USE_FIPS_SSL"),
}


class Kind(Enum):
    """How a statement is executed."""

    PLAIN = auto()  # PostgreSQL runs it
    BEGIN = auto()  # PostgreSQL runs it; it opens a transaction
    COPY = auto()  # the proxy runs it
    UNLOAD = auto()  # the proxy runs it; `sql` is its query for PostgreSQL
    TRUNCATE = auto()  # PostgreSQL runs it, then the transaction is committed
    VACUUM = auto()  # allowed only outside a transaction; nothing is done
    SETTING = auto()  # a setting that only Redshift has: accepted, without effect
    CREATE_TABLE = auto()  # PostgreSQL runs it, after its layout was stored in a setting


@dataclass(frozen=True)
class Plan:
    """What to do for one statement."""

    kind: Kind
    sql: str = ""
    copy: CopyCommand | None = None
    unload: UnloadCommand | None = None
    layout: Layout | None = None


def plan(statement: Statement) -> Plan:
    """The plan for a statement. Raises RedshiftError if it is not supported."""
    refuse_statement(statement)
    first = statement.word(0)
    if first == "COPY":
        return Plan(Kind.COPY, copy=parse_copy(statement))
    if first == "UNLOAD":
        command = parse_unload(statement)
        return Plan(Kind.UNLOAD, sql=plan(command.query).sql, unload=command)
    refuse_expressions(statement)
    if first == "VACUUM":
        return Plan(Kind.VACUUM)
    if first in {"BEGIN", "START"}:
        return Plan(Kind.BEGIN, sql=_ISOLATION.sub("", statement.text))
    if first in {"SET", "RESET"}:
        return _plan_setting(statement)
    if first == "TRUNCATE":
        return Plan(Kind.TRUNCATE, sql=_plan_truncate(statement))
    if first == "ANALYZE":
        return Plan(Kind.PLAIN, sql=_plan_analyze(statement))
    return _plan_query(statement)


def _plan_query(statement: Statement) -> Plan:
    layout = None
    if is_create_table(statement):
        layout = rewrite_create_table(statement)
    elif statement.words("ALTER", "TABLE"):
        rewrite_alter_table(statement)
    elif statement.words("CREATE", "OR", "REPLACE") and statement.word(3) != "VIEW":
        raise not_simulated(f"The statement CREATE OR REPLACE {statement.word(3)}")
    elif statement.word(0) == "DELETE" and statement.word(1) != "FROM":
        statement.replace(0, 0, "DELETE FROM")
    rewrite_expressions(statement)
    sql = statement.rewritten()
    if needs_structure(statement):
        from sandbox.redshift.rewrite_structure import rewrite_structure  # imports sqlglot, which is slow

        sql = rewrite_structure(sql)
    return Plan(Kind.CREATE_TABLE if layout else Kind.PLAIN, sql=sql, layout=layout)


def _plan_setting(statement: Statement) -> Plan:
    name = statement.word(2 if statement.word(1) == "LOCAL" else 1)
    if name in _REDSHIFT_SETTINGS:
        return Plan(Kind.SETTING)
    if name in _POSTGRES_SETTINGS or statement.word(0) == "RESET":
        return Plan(Kind.PLAIN, sql=_ISOLATION.sub(" ISOLATION LEVEL REPEATABLE READ", statement.text))
    raise not_simulated(f"The setting {name.lower()}")


def _plan_truncate(statement: Statement) -> str:
    if any(token.word in {",", "CASCADE", "RESTART", "ONLY"} for token in statement.tokens):
        raise not_supported("TRUNCATE takes one table and no option")
    return statement.text


def _plan_analyze(statement: Statement) -> str:
    if statement.word(1) == "COMPRESSION":
        raise not_simulated("ANALYZE COMPRESSION")
    for index, token in enumerate(statement.tokens):
        if token.word in {"PREDICATE", "ALL"} and statement.word(index + 1) == "COLUMNS":
            statement.replace(index, index + 1)
    return statement.rewritten()
