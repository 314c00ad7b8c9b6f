"""JSON from outside ends in a value or in the caller's error; any value ends in JSON that an XCom can be."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest

from airflow_lib.bounded_json import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_JSON_BYTES,
    MAX_TEXT,
    as_json,
    as_text,
    load_json,
)
from airflow_lib.errors import OutputError


class Colour(StrEnum):
    RED = "red"


def named(cause: str) -> OutputError:
    return OutputError(f"s3://b/thing.json is {cause}")


@pytest.mark.parametrize(
    "text", ['{"a": [1, -2.5, null, true, "é"]}', b'{"a": [1, -2.5, null, true, "\xc3\xa9"]}']
)
def test_json_is_read_as_what_it_says(text: str | bytes) -> None:
    assert load_json(text, named) == {"a": [1, -2.5, None, True, "é"]}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "not JSON (line 1, column 1: Expecting value)"),
        ('{"a": 1,\n "b"}', "not JSON (line 2, column 5: "),
        ("{} {}", "not JSON (line 1, column 4: Extra data)"),
        ("\ufeff{}", "not JSON (line 1, column 1: Unexpected UTF-8 BOM"),
        (b"\xff", "not UTF-8 (byte 0: invalid start byte)"),
        (
            b'"\xed\xa0\x80"',
            "not UTF-8 (byte 1: invalid continuation byte)",
        ),  # a surrogate as CESU-8 writes it
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e999", "a number too large for 64 bits"),
        ("9223372036854775808", "an integer of more than 64 bits"),
        ("9" * 5000, "an integer of more than 64 bits"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ('{"a":' * 900 + "1" + "}" * 900, "nested deeper than 64 levels"),
        (b" " * (MAX_JSON_BYTES + 1), f"{MAX_JSON_BYTES + 1} bytes long, {MAX_JSON_BYTES} at most are read"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_used_is_the_callers_error_with_the_cause(text: str | bytes, cause: str) -> None:
    with pytest.raises(OutputError) as caught:
        load_json(text, named)
    assert str(caught.value).startswith(f"s3://b/thing.json is {cause}")


def test_the_bounds_themselves_are_within_them() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert load_json(deepest, named) == json.loads(deepest)
    assert load_json("[9223372036854775807, -9223372036854775808]", named) == [2**63 - 1, -(2**63)]
    assert load_json("1", named, max_bytes=1) == 1


def test_a_lone_surrogate_becomes_a_character_that_can_be_encoded() -> None:
    value = load_json('{"\\ud800": ["a\\udfffb", "\\ud83d\\ude00"]}', named)
    assert value == {"\ufffd": ["a\ufffdb", "\U0001f600"]}


def test_no_value_is_in_a_cause_for_it_may_be_a_secret() -> None:
    for text in ('{"key": "wJalr', '{"key": wJalr}', '{"key": "wJalr", "key": "wJalr"}', '"wJalr\\x"'):
        with pytest.raises(OutputError) as caught:
            load_json(text, named)
        assert "wJalr" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        (True, True),
        (Colour.RED, "red"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("2.5"), 2.5),
        (Decimal("NaN"), "NaN"),
        (Decimal("sNaN"), "NaN"),
        (Decimal("Infinity"), "Infinity"),
        (Decimal("1e400"), "1E+400"),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (-(10**5000), "an integer of 16610 bits"),
        (date(2016, 4, 1), "2016-04-01"),
        (datetime(2016, 4, 1, 12, tzinfo=UTC), "2016-04-01T12:00:00+00:00"),
        (time(23, 59, 59, tzinfo=timezone(timedelta(seconds=1))), "23:59:59+00:00:01"),
        (timedelta(days=1, hours=2), "1 day, 2:00:00"),
        (b"\x00\xff", "\\x00ff"),
        (memoryview(b"ab"), "\\x6162"),
        ("a\x00b\ud800", "a\ufffdb\ufffd"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        ({"__classname__": 1, "__kind__": 2}, {"'__classname__'": 1, "'__kind__'": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_becomes_json(value: Any, json_value: Any) -> None:
    assert as_json(value) == json_value
    assert as_json(json_value) == json_value


def test_what_is_too_much_is_cut_and_says_so() -> None:
    assert as_text("x" * 100, 30) == "x" * 12 + "… (100 characters)"
    assert len(as_json("é" * 10**6)) == MAX_TEXT
    assert as_json({"a": "x" * 100}, max_text=30) == {"a": "x" * 12 + "… (100 characters)"}
    assert as_json(list(range(MAX_ITEMS + 7)))[-2:] == [MAX_ITEMS - 1, "… 7 more"]
    assert as_json(dict.fromkeys(range(MAX_ITEMS + 7)))["…"] == "7 more"
    loop: list[Any] = []
    loop.append(loop)
    assert "nested too deep" in json.dumps(as_json(loop))
