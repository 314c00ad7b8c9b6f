"""Rewrites CREATE TABLE and ALTER TABLE: removes Redshift's attributes, translates types and identity columns.

Keys stay in the text: since Redshift does not enforce them, an event trigger (catalog.sql) drops them after the
table is created. References are removed here, since PostgreSQL would require a key in the other table.
Source: Redshift Database Developer Guide, "CREATE TABLE".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.errors import RedshiftError
from sandbox.redshift.errors import (
    FEATURE_NOT_SUPPORTED,
    not_simulated,
    not_supported,
    syntax_error,
)
from sandbox.redshift.lexer import Statement
from sandbox.redshift.refuse import TYPES_REDSHIFT_LACKS

_MAX_VARCHAR = 65535
_UNSUPPORTED_TYPES = {"SUPER", "VARBYTE", "VARBINARY", "GEOMETRY", "GEOGRAPHY", "HLLSKETCH", "INTERVAL"}
_PLAIN_TYPES = {
    *("SMALLINT", "INT2", "INTEGER", "INT", "INT4", "BIGINT", "INT8", "REAL", "FLOAT4", "FLOAT8", "FLOAT"),
    *("DOUBLE", "BOOLEAN", "BOOL", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "TIMETZ"),
}
# Reserved words of Redshift that PostgreSQL does not reserve: Developer Guide, "Reserved words".
_RESERVED = {
    *(
        "AES128",
        "AES256",
        "ALLOWOVERWRITE",
        "AZ64",
        "BACKUP",
        "BLANKSASNULL",
        "BYTEDICT",
        "BZIP2",
        "CREDENTIALS",
    ),
    *(
        "CURRENT_USER_ID",
        "DEFLATE",
        "DEFRAG",
        "DELTA",
        "DELTA32K",
        "DISABLE",
        "EMPTYASNULL",
        "ENABLE",
        "ENCODE",
    ),
    *(
        "ENCRYPT",
        "ENCRYPTION",
        "EXPLICIT",
        "GLOBALDICT256",
        "GLOBALDICT64K",
        "GZIP",
        "IDENTITY",
        "IGNORE",
        "LANGUAGE",
    ),
    *(
        "LUN",
        "LUNS",
        "LZO",
        "LZOP",
        "MINUS",
        "MOSTLY8",
        "MOSTLY16",
        "MOSTLY32",
        "NEW",
        "NULLS",
        "OFF",
        "OFFLINE",
    ),
    *(
        "OID",
        "OLD",
        "OPEN",
        "PARALLEL",
        "PARTITION",
        "PERCENT",
        "PERMISSIONS",
        "PIVOT",
        "RAW",
        "READRATIO",
        "RECOVER",
    ),
    *("REJECTLOG", "RESORT", "RESPECT", "RESTORE", "SNAPSHOT", "SYSDATE", "SYSTEM", "TAG", "TDES", "TEXT255"),
    *("TEXT32K", "TIMESTAMP", "TOP", "TRUNCATECOLUMNS", "UNNEST", "UNPIVOT", "WALLET", "WITHOUT"),
}
_STYLES = {"AUTO", "EVEN", "KEY", "ALL"}
_ALTER_ACTIONS = {"ADD", "DROP", "RENAME", "OWNER"}


@dataclass
class Layout:
    """The table's physical layout on Redshift: shown in SVV_TABLE_INFO and PG_TABLE_DEF, without effect here."""

    diststyle: str = ""
    distkey: str = ""
    sortkeys: list[str] = field(default_factory=list)
    encodings: dict[str, str] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise RedshiftError if a key is not a column, or if the style and the key contradict each other."""
        for what, names in (("DISTKEY", [self.distkey] if self.distkey else []), ("SORTKEY", self.sortkeys)):
            for name in names:
                if self.columns and name not in self.columns:
                    raise RedshiftError(f'column "{name}" named in {what} does not exist', "42703")
        if self.diststyle == "KEY" and not self.distkey:
            raise RedshiftError("DISTSTYLE KEY requires a DISTKEY column", "42601")
        if self.distkey and self.diststyle not in {"", "KEY"}:
            raise RedshiftError(f"cannot specify DISTKEY with DISTSTYLE {self.diststyle}", "42601")


def is_create_table(statement: Statement) -> bool:
    return statement.word(0) == "CREATE" and "TABLE" in (statement.word(index) for index in range(1, 4))


def rewrite_create_table(statement: Statement) -> Layout:
    """Edit the statement; returns the declared layout."""
    layout = Layout()
    index = _after_name(statement, _index_of(statement, "TABLE") + 1)
    if statement.word(index) == "(":
        close = statement.closing(index)
        if not _is_list_of_names(statement, index, close):
            _rewrite_definitions(statement, index, close, layout)
        index = close + 1
    while index < len(statement.tokens) and statement.word(index) != "AS":
        index = _remove_table_attribute(statement, index, layout)
    layout.check()
    return layout


def rewrite_alter_table(statement: Statement) -> None:
    """Edit ALTER TABLE ADD, DROP, RENAME and OWNER. Raises RedshiftError for other actions."""
    index = _after_name(statement, 2)
    action = statement.word(index)
    if action not in _ALTER_ACTIONS or statement.word(index + 1) in {
        "CONSTRAINT",
        "PRIMARY",
        "UNIQUE",
        "FOREIGN",
    }:
        raise not_simulated(f"ALTER TABLE … {action} {statement.word(index + 1)}")
    if action == "ADD":
        first = index + (2 if statement.word(index + 1) == "COLUMN" else 1)
        _rewrite_column(statement, first, len(statement.tokens) - 1, Layout())


def _index_of(statement: Statement, word: str) -> int:
    return next(index for index, token in enumerate(statement.tokens) if token.word == word)


def _after_name(statement: Statement, index: int) -> int:
    """The index after `[IF [NOT] EXISTS] [schema.]name`."""
    if statement.word(index) == "IF":
        index += 3 if statement.word(index + 1) == "NOT" else 2
    return statement.dotted_name(index)[1]


def _is_list_of_names(statement: Statement, opening: int, close: int) -> bool:
    """Whether the parentheses hold only names (`a, b, c`), as is allowed before AS."""
    inside = statement.tokens[opening + 1 : close]
    return all(token.is_name if i % 2 == 0 else token.word == "," for i, token in enumerate(inside))


def _rewrite_definitions(statement: Statement, opening: int, close: int, layout: Layout) -> None:
    first = opening + 1
    while first < close:
        last = _end_of_item(statement, first, close)
        word = statement.word(first)
        if word == "CONSTRAINT":
            word = statement.word(first + 2)
        if word == "FOREIGN":
            statement.replace(first - 1 if statement.word(first - 1) == "," else first, last)
        elif word == "LIKE":
            _rewrite_like(statement, first, last)
        elif word == "CHECK":
            raise not_supported("CHECK constraints are not supported")
        elif word not in {"PRIMARY", "UNIQUE"}:
            _rewrite_column(statement, first, last, layout)
        first = last + 2


def _end_of_item(statement: Statement, first: int, close: int) -> int:
    index = first
    while index < close and statement.word(index) != ",":
        index = statement.closing(index) + 1 if statement.word(index) == "(" else index + 1
    return index - 1


def _rewrite_like(statement: Statement, first: int, last: int) -> None:
    after = _after_name(statement, first + 1)
    if after <= last and statement.word(after + 1) != "DEFAULTS":
        raise syntax_error(statement.tokens[after].text)


def _rewrite_column(statement: Statement, first: int, last: int, layout: Layout) -> None:
    if statement.word(first) in _RESERVED:
        raise syntax_error(statement.tokens[first].text)
    column = statement.tokens[first].name
    layout.columns.append(column)
    index = _rewrite_type(statement, first + 1, column)
    while index <= last:
        index = _rewrite_attribute(statement, index, column, layout)


def _rewrite_type(statement: Statement, index: int, column: str) -> int:
    """Translate the type at `index`; returns the index after it."""
    word = statement.word(index)
    if word in TYPES_REDSHIFT_LACKS:
        raise not_supported(f'Column "{column}" has unsupported type "{word.lower()}".')
    if word in _UNSUPPORTED_TYPES:
        raise not_simulated(f"Column {column}'s type {word}")
    last = (
        index + 1 if word in {"CHARACTER", "NATIONAL"} and statement.word(index + 1) == "VARYING" else index
    )
    if word in {"VARCHAR", "NVARCHAR", "TEXT"} or last > index:
        return _rewrite_characters(statement, index, last, name="VARCHAR", default=256)
    if word in {"CHAR", "CHARACTER", "NCHAR", "BPCHAR"}:
        return _rewrite_characters(
            statement, index, last, name="CHAR", default=256 if word == "BPCHAR" else 1
        )
    if word in {"DECIMAL", "NUMERIC"}:
        if statement.word(index + 1) == "(":
            return statement.closing(index + 1) + 1
        statement.replace(index, index, "NUMERIC(18,0)")
        return index + 1
    if word not in _PLAIN_TYPES:
        raise RedshiftError(f'type "{statement.tokens[index].text.lower()}" does not exist', "42704")
    if word == "DOUBLE":
        return index + 2
    if word in {"TIMESTAMP", "TIME"} and statement.word(index + 1) in {"WITH", "WITHOUT"}:
        return index + 4
    return index + 1


def _rewrite_characters(statement: Statement, first: int, last: int, *, name: str, default: int) -> int:
    length, after = str(default), last + 1
    if statement.word(first) != "TEXT" and statement.word(after) == "(":
        length = statement.tokens[after + 1].text.upper()
        after = statement.closing(after) + 1
    limit = _MAX_VARCHAR if name == "VARCHAR" else 4096
    length = str(limit) if length == "MAX" else length
    if not length.isdigit() or not 0 < int(length) <= limit:
        raise RedshiftError(f"length for type {name.lower()} cannot exceed {limit}", "22023")
    statement.replace(first, after - 1, f"{name}({length})")
    return after


def _rewrite_attribute(statement: Statement, index: int, column: str, layout: Layout) -> int:
    """Translate one column attribute; returns the index after it."""
    word, after = statement.word(index), statement.word(index + 1)
    if word == "IDENTITY" and after == "(":
        return _rewrite_identity(statement, index, index, "GENERATED ALWAYS AS ")
    if word == "GENERATED":
        if statement.words("BY", "DEFAULT", "AS", "IDENTITY", "(", at=index + 1):
            return _rewrite_identity(statement, index, index + 4, "GENERATED BY DEFAULT AS ")
        raise not_supported("GENERATED columns other than BY DEFAULT AS IDENTITY are not supported")
    if word == "DISTKEY":
        layout.distkey = column
    elif word == "SORTKEY":
        layout.sortkeys = [column]
    elif word == "ENCODE":
        layout.encodings[column] = after.lower()
        statement.replace(index, index + 1)
        return index + 2
    elif word == "REFERENCES":
        end = _after_name(statement, index + 1)
        end = statement.closing(end) + 1 if statement.word(end) == "(" else end
        statement.replace(index, end - 1)
        return end
    elif word in {"CHECK", "COLLATE", "CONSTRAINT"}:
        raise RedshiftError(f"{word} on column {column} is not supported", FEATURE_NOT_SUPPORTED)
    else:  # NOT NULL, NULL, PRIMARY KEY, UNIQUE, DEFAULT expression: the same in PostgreSQL
        return statement.closing(index) + 1 if word == "(" else index + 1
    statement.replace(index, index)
    return index + 1


def _rewrite_identity(statement: Statement, first: int, identity: int, prefix: str) -> int:
    close = statement.closing(identity + 1)
    inside = statement.text[statement.tokens[identity + 1].end : statement.tokens[close].start]
    try:
        seed, step = (int(part) for part in inside.split(","))
    except ValueError:
        raise syntax_error(inside.strip()) from None
    bound = "MINVALUE" if step > 0 else "MAXVALUE"
    statement.replace(
        first, close, f"{prefix}IDENTITY (START WITH {seed} INCREMENT BY {step} {bound} {seed})"
    )
    return close + 1


def _remove_table_attribute(statement: Statement, index: int, layout: Layout) -> int:
    """Remove one attribute after the columns; returns the index after it."""
    word, after = statement.word(index), statement.word(index + 1)
    end = index + 1
    if word == "DISTSTYLE" and after in _STYLES:
        layout.diststyle = after
    elif (word in {"BACKUP", "ENCODE"} and after in {"YES", "NO", "AUTO"}) or (
        word == "SORTKEY" and after == "AUTO"
    ):
        pass
    elif word == "DISTKEY" and after == "(":
        end = statement.closing(index + 1)
        layout.distkey = statement.tokens[index + 2].name
    elif word in {"SORTKEY", "COMPOUND", "INTERLEAVED"}:
        opening = index + (1 if word == "SORTKEY" else 2)
        if statement.word(opening) != "(":
            raise syntax_error(statement.tokens[min(opening, len(statement.tokens) - 1)].text)
        end = statement.closing(opening)
        layout.sortkeys = [token.name for token in statement.tokens[opening + 1 : end] if token.is_name]
    else:
        raise syntax_error(statement.tokens[index].text)
    statement.replace(index, end)
    return end + 1
