"""The Redshift simulator's lexer: tokens, the ends of statements, and edits of the text."""

import pytest

from sandbox.errors import RedshiftError
from sandbox.redshift.lexer import statements, tokens


@pytest.mark.parametrize(
    ("sql", "texts"),
    [
        ("select 1; select 2;;", ["select 1", "select 2"]),
        ("select ';' , \";\" -- ;\n; select 2", ["select ';' , \";\"", "select 2"]),
        ("/* a ; /* b */ ; */ select 1", ["select 1"]),
        ("select 'it''s ; \\'; '", ["select 'it''s ; \\'; '"]),
        ("  -- nothing\n ;", []),
    ],
)
def test_a_statement_ends_at_a_semicolon_outside_quotes_and_comments(sql: str, texts: list[str]) -> None:
    assert [statement.text for statement in statements(sql)] == texts


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select 'a", "unterminated quoted string"),
        ('select "a', "unterminated quoted string"),
        ("select /* a", "unterminated /"),
        ("select $x$ a", "unterminated dollar-quoted"),
    ],
)
def test_an_unterminated_token_is_a_syntax_error(sql: str, reason: str) -> None:
    with pytest.raises(RedshiftError, match=reason) as caught:
        statements(sql)
    assert caught.value.code == "42601"


def test_a_string_literal_is_unescaped() -> None:
    assert [token.value for token in tokens(r"'it''s' E'a\'b' '' $t$x'y$t$")] == ["it's", "a'b", "", "x'y"]


def test_names_fold_to_lower_case_quoted_or_not() -> None:
    assert [token.name for token in tokens('Tourist_id "TouristId" "a""B"')] == [
        "tourist_id",
        "touristid",
        'a"b',
    ]


def test_edits_leave_the_rest_of_the_text_verbatim() -> None:
    (statement,) = statements("select  a , -- why\n b from t")
    statement.replace(1, 1, "x")
    statement.replace(3, 3)
    assert statement.rewritten() == "select  x , -- why\n  from t"


def test_an_outer_edit_replaces_the_edits_inside_it() -> None:
    (statement,) = statements("a b c d")
    statement.replace(2, 2, "inner")
    statement.replace(1, 2, "outer")
    assert statement.rewritten() == "a outer d"


def test_an_unclosed_parenthesis_is_a_syntax_error() -> None:
    (statement,) = statements("create table t (a int")
    with pytest.raises(RedshiftError, match="end of input"):
        statement.closing(3)
