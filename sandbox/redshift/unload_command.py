"""Parses the UNLOAD command. Source: Redshift Database Developer Guide, "UNLOAD".

Supported is only CSV or Parquet to one file (PARALLEL OFF), with an IAM role.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import RedshiftError
from sandbox.redshift.copy_command import S3Object, parse_url
from sandbox.redshift.errors import not_simulated, not_supported, syntax_error
from sandbox.redshift.lexer import Statement, statements

_OFF, _ON = {"OFF", "FALSE"}, {"ON", "TRUE"}
# Developer Guide, "UNLOAD": "You can't use PARQUET with DELIMITER, FIXEDWIDTH, ADDQUOTES, ESCAPE, NULL AS, HEADER, …".
_NOT_WITH_PARQUET = {
    "DELIMITER",
    "FIXEDWIDTH",
    "ADDQUOTES",
    "ESCAPE",
    "NULL",
    "HEADER",
    "GZIP",
    "BZIP2",
    "ZSTD",
}


@dataclass(frozen=True)
class UnloadCommand:
    """Write the rows of `query` to `prefix` with a number after it, with the rights of `role`."""

    query: Statement
    prefix: S3Object
    role: str
    parquet: bool
    header: bool
    overwrite: bool
    extension: str

    @property
    def target(self) -> S3Object:
        """The one file that is written."""
        extension = "parquet" if self.parquet else self.extension
        suffix = f".{extension}" if extension else ""
        return S3Object(self.prefix.bucket, f"{self.prefix.key}000{suffix}")


def parse_unload(statement: Statement) -> UnloadCommand:
    """Parse the statement. Raises RedshiftError as Redshift refuses it, or 0A000 for an option not supported here."""
    if statement.word(1) != "(" or statement.word(3) != ")" or statement.word(4) != "TO":
        raise syntax_error(statement.tokens[min(1, len(statement.tokens) - 1)].text)
    query = statement.tokens[2]
    if query.kind != "string" or len(statement.tokens) < 6 or statement.tokens[5].kind != "string":
        raise syntax_error(query.text)
    prefix = parse_url(statement.tokens[5].value)
    options = _Options.parse(statement, 6)
    return UnloadCommand(
        query=_parse_query(query.value),
        prefix=prefix,
        role=options.role,
        parquet=options.parquet,
        header=options.header,
        overwrite=options.overwrite,
        extension=options.extension,
    )


def _parse_query(sql: str) -> Statement:
    """The SELECT. Redshift refuses a LIMIT of the outer one."""
    found = statements(sql)
    if len(found) != 1 or found[0].word(0) not in {"SELECT", "WITH", "("}:
        raise syntax_error(sql[:40])
    depth = 0
    for index, token in enumerate(found[0].tokens):
        depth += {"(": 1, ")": -1}.get(token.word, 0)
        if depth == 0 and (
            token.word == "LIMIT" or (token.word == "TOP" and found[0].word(index - 1) == "SELECT")
        ):
            raise not_supported("Limit clause is not supported")
    return found[0]


@dataclass
class _Options:
    role: str = ""
    parquet: bool = False
    csv: bool = False
    header: bool = False
    overwrite: bool = False
    serial: bool = False
    extension: str = ""

    @classmethod
    def parse(cls, statement: Statement, index: int) -> _Options:
        options, seen = cls(), set()
        while index < len(statement.tokens):
            seen.add(statement.word(index))
            index = options._take(statement, index)
        if not options.role:
            raise RedshiftError(
                "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or IAM_ROLE '...'",
                "42601",
            )
        if options.parquet and (wrong := sorted(seen & _NOT_WITH_PARQUET)):
            raise not_supported(f"{wrong[0]} is not supported for UNLOAD to PARQUET")
        if not options.parquet and not options.csv:
            raise not_simulated("UNLOAD to a format other than CSV and PARQUET")
        if not options.serial:
            raise not_simulated("UNLOAD without PARALLEL OFF")
        return options

    def _take(self, statement: Statement, index: int) -> int:
        """Read the option at `index`; returns the index after it."""
        word = statement.word(index)
        if word in {"IAM_ROLE", "EXTENSION"}:
            return self._take_text(statement, index)
        if word in {"FORMAT", "AS"}:
            return index + 1
        if word == "PARALLEL":
            value = statement.word(index + 1)
            self.serial = value in _OFF
            return index + (2 if value in _OFF | _ON else 1)
        if word == "PARQUET":
            self.parquet = True
        elif word == "CSV":
            self.csv = True
        elif word == "HEADER":
            self.header = True
        elif word == "ALLOWOVERWRITE":
            self.overwrite = True
        elif word:
            raise not_simulated(f"UNLOAD's option {word}")
        else:
            raise syntax_error(statement.tokens[index].text)
        return index + 1

    def _take_text(self, statement: Statement, index: int) -> int:
        word = statement.word(index)
        value = index + (2 if statement.word(index + 1) == "AS" else 1)
        if value >= len(statement.tokens) or statement.tokens[value].kind != "string":
            raise not_simulated(f"UNLOAD with an {word} that is not in quotes")
        if word == "IAM_ROLE":
            self.role = statement.tokens[value].value
        else:
            self.extension = statement.tokens[value].value
        return value + 1
