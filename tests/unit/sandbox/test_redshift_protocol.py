"""PostgreSQL's wire protocol as the Redshift simulator uses it: messages, authentication and errors."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.redshift import protocol
from sandbox.redshift.authentication import database_user, matches
from sandbox.redshift.translate import translate

SALT = b"\x01\x02\x03\x04"
# "md5" + md5(md5(password + user) + salt): PostgreSQL documentation, "Message Flow", AuthenticationMD5Password.
DIGEST = b"md512026432fdf4904a485ba162bae7e7e6"


def test_a_message_has_a_type_and_a_length_that_includes_itself() -> None:
    assert protocol.message(b"Q", b"ab") == b"Q\x00\x00\x00\x06ab"


def test_an_errors_fields_are_parsed_by_their_letter() -> None:
    sent = protocol.error_response("no such table", "42P01", "a detail")
    assert sent[:1] == b"E"
    assert protocol.parse_fields(sent[5:]) == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "42P01",
        "M": "no such table",
        "D": "a detail",
    }


def test_a_null_in_a_row_is_none_and_an_empty_text_is_not() -> None:
    body = b"\x00\x03" + b"\x00\x00\x00\x01x" + b"\xff\xff\xff\xff" + b"\x00\x00\x00\x00"
    assert protocol.parse_row(body) == ["x", None, ""]


def read_startup(data: bytes) -> tuple[int, bytes]:
    async def read() -> tuple[int, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await protocol.read_startup(reader)

    return asyncio.run(read())


def test_a_startup_message_carries_its_parameters() -> None:
    parameters = {"user": "IAM:owner", "database": "dev"}
    code, body = read_startup(protocol.startup_message(parameters))
    assert code == protocol.VERSION_3
    assert protocol.parse_parameters(body) == parameters


def test_a_first_message_of_another_protocol_is_a_connection_error() -> None:
    with pytest.raises(ConnectionError, match="not in PostgreSQL's protocol"):
        read_startup(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    ("login", "user"), [("IAM:owner", "owner"), ("IAMA:owner", "owner"), ("owner", None), ("", None)]
)
def test_only_a_temporary_user_has_a_database_user(login: str, user: str | None) -> None:
    assert database_user(login) == user


@pytest.mark.parametrize(
    ("passwords", "user", "salt", "expected"),
    [
        (["other", "temporary"], "IAM:owner", SALT, True),
        (["other"], "IAM:owner", SALT, False),
        ([], "IAM:owner", SALT, False),
        (["temporary"], "IAM:another", SALT, False),
        (["temporary"], "IAM:owner", b"\x04\x03\x02\x01", False),
    ],
)
def test_a_digest_matches_its_own_password_user_and_salt(
    passwords: list[str], user: str, salt: bytes, expected: bool
) -> None:
    assert matches(DIGEST, passwords, user, salt) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"C": "23514", "M": "violates check constraint", "n": "rs_bytes_2_20", "D": "Failing row"},
            {"C": "22001", "M": "value too long for type character varying(20)"},
        ),
        (
            {"C": "40001", "M": "could not serialize access"},
            {
                "C": "40001",
                "M": "1023",
                "D": "Serializable isolation violation on table: could not serialize access",
            },
        ),
        (
            {"C": "428C9", "M": "cannot insert a non-DEFAULT value", "H": "Use OVERRIDING SYSTEM VALUE"},
            {"C": "0A000", "M": "cannot set an identity column to a value"},
        ),
        ({"C": "42P01", "M": "no such table"}, {"C": "42P01", "M": "no such table"}),
    ],
)
def test_an_error_is_translated_only_where_redshifts_differs(
    fields: dict[str, str], expected: dict[str, str]
) -> None:
    assert translate(fields) == expected
