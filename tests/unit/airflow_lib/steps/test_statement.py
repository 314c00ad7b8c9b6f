"""A job's contract: what its session is given, and what comes back of it."""

from __future__ import annotations

import pytest

from airflow_lib.errors import LivyError
from airflow_lib.steps.statement import parse_answer

HEX = "0123456789abcdef" * 2


def answer_line(**parts: str) -> str:
    """A job's answer as JSON, with these parts of its text changed."""
    given = {"attempt": f'"{HEX}"', "address": f'"{HEX}"', "read": "1", **parts}
    return '{"mayfly": 1, ' + ", ".join(f'"{key}": {text}' for key, text in given.items()) + "}"


def test_an_answer_of_that_form_is_read() -> None:
    assert parse_answer(f"rows: 3\n{answer_line()}\n", "arrivals")["attempt"] == HEX


@pytest.mark.parametrize(
    "line",
    [
        '{"mayfly": 1}',
        answer_line(attempt="5"),
        answer_line(attempt='"../../other"'),
        answer_line(address="null"),
        answer_line(read="NaN"),
        answer_line(read="9" * 5000),
        "[" * 100_000,
    ],
    ids=["bare", "number", "path", "null", "NaN", "digits", "deep"],
)
def test_an_answer_that_is_malformed_is_an_error_of_livys(line: str) -> None:
    with pytest.raises(LivyError, match="Job 'arrivals' printed"):
        parse_answer(f"rows: 3\n{line}\n", "arrivals")
