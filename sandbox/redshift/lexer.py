"""Splits Redshift SQL into statements and tokens, and edits the text by token.

An edit replaces a span of the client's text; everything else reaches PostgreSQL unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.errors import RedshiftError
from sandbox.redshift.errors import SYNTAX_ERROR

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<string>[eE]?'(?:[^'\\]|\\.|'')*')
  | (?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<operator>::|<=|>=|<>|!=|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Token:
    """One token; `word` is a keyword or bare name in upper case, or an operator, otherwise empty."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind in {"word", "operator"} else ""

    @property
    def is_name(self) -> bool:
        return self.kind in {"word", "quoted"}

    @property
    def name(self) -> str:
        """The identifier: Redshift folds every name to lower case, quoted ones too."""
        return (self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text).lower()

    @property
    def value(self) -> str:
        """A string literal's value."""
        if self.kind == "dollar":
            return self.text[self.text.index("$", 1) + 1 : self.text.rindex("$", 0, -1)]
        inner = self.text[self.text.index("'") + 1 : -1].replace("''", "'")
        return re.sub(r"\\(.)", r"\1", inner)


@dataclass
class Statement:
    """One statement: its text, its tokens, and its edits."""

    text: str
    tokens: Sequence[Token]
    _edits: list[tuple[int, int, str]] = field(default_factory=list)

    def word(self, index: int) -> str:
        """The keyword at an index, or "" beyond the end."""
        return self.tokens[index].word if 0 <= index < len(self.tokens) else ""

    def words(self, *expected: str, at: int = 0) -> bool:
        """Whether the tokens from `at` on are these keywords."""
        return all(self.word(at + offset) == word for offset, word in enumerate(expected))

    def replace(self, first: int, last: int, replacement: str = "") -> None:
        """Replace the tokens from `first` to `last`, both included."""
        self._edits.append((self.tokens[first].start, self.tokens[last].end, replacement))

    def rewritten(self) -> str:
        """The text with all edits applied; an outer edit replaces the edits inside it."""
        parts, position = [], 0
        for start, end, replacement in sorted(self._edits, key=lambda edit: (edit[0], -edit[1])):
            if start >= position:
                parts += [self.text[position:start], replacement]
                position = end
        return "".join([*parts, self.text[position:]])

    def dotted_name(self, index: int) -> tuple[list[str], int]:
        """The parts of the `[schema.]name` at `index`, and the index after it."""
        if index >= len(self.tokens):
            raise RedshiftError("syntax error at end of input", SYNTAX_ERROR)
        parts = [self.tokens[index].name]
        while self.word(index + 1) == "." and index + 2 < len(self.tokens):
            index += 2
            parts.append(self.tokens[index].name)
        return parts, index + 1

    def closing(self, index: int) -> int:
        """The index of the parenthesis that closes the one at `index`."""
        depth = 0
        for position in range(index, len(self.tokens)):
            depth += {"(": 1, ")": -1}.get(self.word(position), 0)
            if depth == 0:
                return position
        raise RedshiftError("syntax error at end of input", SYNTAX_ERROR)


def tokens(sql: str) -> list[Token]:
    """All tokens without white space and comments. Raises RedshiftError for an unterminated token."""
    found, position = [], 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None or match.lastgroup is None:
            raise RedshiftError(f'syntax error at or near "{sql[position]}"', SYNTAX_ERROR)
        kind, end = match.lastgroup, match.end()
        if kind == "comment":
            end = _comment_end(sql, end)
        elif kind == "dollar":
            close = sql.find(match.group(), end)
            if close < 0:
                raise RedshiftError("unterminated dollar-quoted string", SYNTAX_ERROR)
            end = close + len(match.group())
        elif kind == "operator" and match.group() in "'\"":
            raise RedshiftError(
                f"unterminated quoted string at or near {sql[position : end + 20]!r}", SYNTAX_ERROR
            )
        if kind not in {"space", "comment"}:
            found.append(Token(kind, sql[position:end], position, end))
        position = end
    return found


def statements(sql: str) -> list[Statement]:
    """The statements of a query string; the positions in each are relative to its own text."""
    groups: list[list[Token]] = [[]]
    for token in tokens(sql):
        if token.word == ";":
            groups.append([])
        else:
            groups[-1].append(token)
    return [_statement(sql, group) for group in groups if group]


def _statement(sql: str, group: list[Token]) -> Statement:
    base = group[0].start
    moved = [Token(token.kind, token.text, token.start - base, token.end - base) for token in group]
    return Statement(sql[base : group[-1].end], moved)


def _comment_end(sql: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            raise RedshiftError("unterminated /* comment", SYNTAX_ERROR)
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position
