"""Redshift's SQL on sqlite, in memory: as much of it as Mayfly's templates use.

A database is bytes, as sqlite serializes them; `Database` opens a copy of it, for one transaction.
sqlite has no schemas: the table "schema"."table" is named "schema.table" there.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import psycopg2
from psycopg2 import errors

Rows = list[tuple[Any, ...]]
Functions = Mapping[str, Callable[[], Any]]

_STRING_OR_TABLE = re.compile(r"""'(?:[^']|'')*'|"(?P<schema>staging_\w+|answers)"\."?(?P<table>\w+)"?""")
_TABLE_ATTRIBUTES = re.compile(r"\b(?:DISTSTYLE (?:ALL|EVEN|KEY)|(?:DIST|SORT)KEY \([^)]*\))")
_CREATE_TABLE = re.compile(r'CREATE TABLE (?:IF NOT EXISTS )?(?:"(?P<schema>\w+)"\.)?')
_CREATE_SCHEMA = re.compile(r'CREATE SCHEMA IF NOT EXISTS "(\w+)"')
_DROP_SCHEMA = re.compile(r'DROP SCHEMA IF EXISTS "(\w+)" CASCADE')
_COMMENT = re.compile(r"""COMMENT ON TABLE "(\w+)"\."(\w+)" IS '([^']*)'""")
_RENAME = re.compile(r'ALTER TABLE "(\w+)"\."(\w+)" RENAME TO "(\w+)"')
_AGE = re.compile(r"DATEADD\(second, -(\d+), ([\w.]+)\)")
_SETTING = re.compile(
    r"SET (?:timezone TO 'UTC'|statement_timeout TO \d+)"
)  # sqlite has no time and no waiting
_LOCK = re.compile(r"LOCK TABLE (\w+)")

# sqlite's wording and PostgreSQL's SQLSTATE; anything else is a syntax error.
_CODES = (
    ("no such table", "42P01"),
    ("no such column", "42703"),
    ("already exists", "42P07"),
    ("NOT NULL constraint failed", "23502"),
)

# What Redshift's catalogue shows Mayfly, out of sqlite's; load errors are the session's own.
_CATALOGUE = """
PRAGMA page_size = 1024;
CREATE TABLE pg_namespace (nspname TEXT PRIMARY KEY);
INSERT INTO pg_namespace VALUES ('public');
CREATE TABLE pg_description (objoid TEXT PRIMARY KEY, objsubid INT, description TEXT);
CREATE VIEW pg_tables AS
SELECT
    CASE instr(name, '.') WHEN 0 THEN 'public' ELSE substr(name, 1, instr(name, '.') - 1) END AS schemaname,
    lower(substr(name, instr(name, '.') + 1)) AS tablename
FROM sqlite_master
WHERE type = 'table' AND name NOT IN ('pg_namespace', 'pg_description') AND name NOT LIKE 'sqlite_%';
CREATE VIEW pg_class AS
SELECT schemaname || '.' || tablename AS oid, tablename AS relname, pg_namespace.rowid AS relnamespace, 'r' AS relkind
FROM pg_tables JOIN pg_namespace ON nspname = schemaname;
-- An INTEGER PRIMARY KEY is what sqlite makes of an identity.
CREATE VIEW pg_table_def AS
SELECT
    pg_tables.schemaname, pg_tables.tablename, lower(described.name) AS "column",
    CASE described.pk WHEN 1 THEN 'BIGINT' ELSE described.type END AS type, described."notnull"
FROM pg_tables JOIN pragma_table_info(pg_tables.tablename) AS described
WHERE pg_tables.schemaname = 'public';
CREATE VIEW stl_load_errors AS
SELECT
    value ->> 0 AS filename, value ->> 1 AS line_number, value ->> 2 AS colname, value ->> 3 AS type,
    value ->> 4 AS err_code, value ->> 5 AS err_reason, PG_BACKEND_PID() AS session, key AS starttime
FROM json_each(LOAD_ERRORS());
"""


@cache
def empty() -> bytes:
    """A new warehouse's content."""
    made = sqlite3.connect(":memory:")
    made.executescript(_CATALOGUE)
    return made.serialize()


def refused(code: str, message: str, kind: type[psycopg2.Error] | None = None) -> psycopg2.Error:
    """An error that bears the SQLSTATE, of psycopg2's own class for it unless `kind` is given."""
    if kind is None:
        try:
            kind = errors.lookup(code)
        except KeyError:
            kind = psycopg2.DatabaseError
    error = kind(message)
    # Only the server's answer, or unpickling, gives an error its code.
    error.__setstate__({"pgcode": code, "pgerror": message})  # type: ignore[attr-defined]
    return error


class Database:
    """A copy of a warehouse's content, and what one transaction makes of it."""

    def __init__(self, content: bytes, functions: Functions | None = None) -> None:
        self._sqlite = sqlite3.connect(":memory:", isolation_level=None)
        self._sqlite.deserialize(content)
        for name, answer in (functions or {}).items():
            self._sqlite.create_function(name, 0, answer)
        self._born = self._schema_version()

    @property
    def changed(self) -> bool:
        return self._sqlite.total_changes > 0 or self._schema_version() != self._born

    def content(self) -> bytes:
        return self._sqlite.serialize()

    def execute(self, statement: str) -> tuple[list[str] | None, Rows]:
        """The columns and rows of a statement of Redshift's SQL; None for one that has none. Raises psycopg2.Error."""
        if match := _DROP_SCHEMA.fullmatch(statement):
            return self._drop_schema(match[1])
        if _SETTING.fullmatch(statement):
            return None, []
        if match := _COMMENT.fullmatch(statement):
            return self._comment(*match.groups())
        if match := _CREATE_TABLE.match(statement):
            self._require_schema(match["schema"])
        answer = self._run(translate(statement))
        if statement.startswith("DROP TABLE "):
            self._forget_comments()
        return answer

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Each column's name and declared type. Raises psycopg2.Error where there is no such table."""
        _, described = self._run(f'PRAGMA table_info("{schema}.{table}")')
        if not described:
            raise refused("42P01", f'relation "{schema}.{table}" does not exist')
        return [(name, kind) for _, name, kind, *_ in described]

    def insert(self, schema: str, table: str, rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        self._guard(
            lambda: self._sqlite.executemany(f'INSERT INTO "{schema}.{table}" VALUES ({marks})', rows)
        )

    def content_of(self, table: str) -> Rows:
        """A table's rows, sorted, without what a repeated load writes again: identity and loaded_at."""
        _, described = self._run(f'PRAGMA table_info("{table}")')
        kept = [name for _, name, *_, identity in described if not identity and name != "loaded_at"]
        if not kept:
            return []
        _, rows = self._run(f'SELECT {", ".join(kept)} FROM "{table}"')
        return sorted(rows, key=repr)

    def _run(self, sql: str) -> tuple[list[str] | None, Rows]:
        found = self._guard(lambda: self._sqlite.execute(sql))
        names = [column[0] for column in found.description] if found.description else None
        return names, self._guard(found.fetchall)

    def _guard(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except sqlite3.Error as error:
            code = next((code for words, code in _CODES if words in str(error)), "42601")
            raise refused(code, str(error)) from error

    def _schema_version(self) -> int:
        return int(self._sqlite.execute("PRAGMA schema_version").fetchone()[0])

    def _require_schema(self, schema: str | None) -> None:
        _, known = self._run("SELECT nspname FROM pg_namespace")
        if schema is not None and (schema,) not in known:
            raise refused("3F000", f'schema "{schema}" does not exist')

    def _drop_schema(self, schema: str) -> tuple[None, Rows]:
        _, tables = self._run(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
        for (table,) in tables:
            self._run(f'DROP TABLE "{schema}.{table}"')
        self._run(f"DELETE FROM pg_namespace WHERE nspname = '{schema}'")
        self._forget_comments()
        return None, []

    def _comment(self, schema: str, table: str, text: str) -> tuple[None, Rows]:
        """As in PostgreSQL, an empty text takes the comment away."""
        self.columns(schema, table)
        name = f"{schema}.{table}"
        self._run(f"DELETE FROM pg_description WHERE objoid = '{name}'")
        if text:
            self._run(f"INSERT INTO pg_description VALUES ('{name}', 0, '{text}')")
        return None, []

    def _forget_comments(self) -> None:
        """A comment goes with its table."""
        self._run("DELETE FROM pg_description WHERE objoid NOT IN (SELECT oid FROM pg_class)")


def translate(statement: str) -> str:
    """A statement of Redshift's SQL as sqlite takes it."""
    if match := _LOCK.fullmatch(statement):
        return f"SELECT 1 FROM {match[1]} LIMIT 0"
    if match := _CREATE_SCHEMA.fullmatch(statement):
        return f"INSERT OR IGNORE INTO pg_namespace VALUES ('{match[1]}')"
    if match := _RENAME.fullmatch(statement):
        return 'ALTER TABLE "{0}.{1}" RENAME TO "{0}.{2}"'.format(*match.groups())
    statement = _AGE.sub(r"datetime(\2, '-\1 seconds')", statement)
    if statement.startswith("CREATE TABLE "):
        statement = _TABLE_ATTRIBUTES.sub("", statement)
        statement = statement.replace("BIGINT IDENTITY(1, 1)", "INTEGER PRIMARY KEY AUTOINCREMENT")
    return _STRING_OR_TABLE.sub(_name_table, statement)


def _name_table(found: re.Match[str]) -> str:
    if found["table"] is None:
        return found[0]
    return f'"{found["schema"]}.{found["table"].lower()}"'


def read_tables(content: bytes, tables: Iterable[str]) -> dict[str, Rows]:
    """What a warehouse holds: of each table its rows, sorted, none where the table is not there."""
    database = Database(content)
    return {table: database.content_of(table) for table in tables}


def read_schemas(content: bytes) -> set[str]:
    """The schemas of a warehouse, but for `public`."""
    _, rows = Database(content).execute("SELECT nspname FROM pg_namespace")
    return {name for (name,) in rows} - {"public"}
