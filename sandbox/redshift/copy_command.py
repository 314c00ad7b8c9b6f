"""Parses the COPY command. Source: Redshift Database Developer Guide, "COPY".

Supported is only Parquet from S3 with an IAM role, by manifest or by prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.errors import RedshiftError
from sandbox.redshift.errors import not_simulated, syntax_error
from sandbox.redshift.lexer import Statement

_URL = re.compile(r"s3://([^/]+)/(.+)\Z")
_IGNORED = {"STATUPDATE", "COMPUPDATE"}
_SWITCHES = {"ON", "OFF", "TRUE", "FALSE", "PRESET"}


@dataclass(frozen=True)
class S3Object:
    """An object's location; `arn` is for policies, `url` for messages."""

    bucket: str
    key: str

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:::{self.bucket}/{self.key}"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class CopyCommand:
    """Load `source` into `table` (quoted SQL) and `columns` (lower case; empty for all), with the rights of `role`."""

    table: str
    table_name: str
    columns: tuple[str, ...]
    source: S3Object
    role: str
    manifest: bool


def parse_url(url: str) -> S3Object:
    match = _URL.match(url)
    if match is None:
        raise RedshiftError(f"Invalid S3 path: {url}", "XX000")
    return S3Object(match.group(1), match.group(2))


def parse_copy(statement: Statement) -> CopyCommand:
    """Parse the statement. Raises RedshiftError: a syntax error, or 0A000 for an unsupported format or option."""
    parts, index = statement.dotted_name(1)
    columns: tuple[str, ...] = ()
    if statement.word(index) == "(":
        close = statement.closing(index)
        columns = tuple(token.name for token in statement.tokens[index + 1 : close] if token.is_name)
        index = close + 1
    if statement.word(index) != "FROM" or index + 1 >= len(statement.tokens):
        raise syntax_error(statement.tokens[min(index, len(statement.tokens) - 1)].text)
    if statement.tokens[index + 1].kind != "string":
        raise syntax_error(statement.tokens[index + 1].text)
    source = parse_url(statement.tokens[index + 1].value)
    options = _Options.parse(statement, index + 2)
    return CopyCommand(
        table=".".join('"' + part.replace('"', '""') + '"' for part in parts),
        table_name=parts[-1],
        columns=columns,
        source=source,
        role=options.role,
        manifest=options.manifest,
    )


@dataclass
class _Options:
    role: str = ""
    manifest: bool = False
    parquet: bool = False

    @classmethod
    def parse(cls, statement: Statement, index: int) -> _Options:
        options = cls()
        while index < len(statement.tokens):
            index = options._take(statement, index)
        if not options.role:
            raise RedshiftError(
                "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or IAM_ROLE '...'",
                "42601",
            )
        if not options.parquet:
            raise not_simulated("COPY from a format other than PARQUET")
        return options

    def _take(self, statement: Statement, index: int) -> int:
        """Read the option at `index`; returns the index after it."""
        word = statement.word(index)
        if word == "IAM_ROLE":
            value = index + (2 if statement.word(index + 1) == "AS" else 1)
            if value >= len(statement.tokens) or statement.tokens[value].kind != "string":
                raise not_simulated("COPY with an IAM_ROLE that is not an ARN in quotes")
            self.role = statement.tokens[value].value
            return value + 1
        if word in {"FORMAT", "AS", "WITH"}:
            return index + 1
        if word == "PARQUET":
            self.parquet = True
        elif word == "MANIFEST":
            self.manifest = True
        elif word in _IGNORED:
            return index + (2 if statement.word(index + 1) in _SWITCHES else 1)
        elif word:
            raise not_simulated(f"COPY's option {word}")
        else:
            raise syntax_error(statement.tokens[index].text)
        return index + 1
