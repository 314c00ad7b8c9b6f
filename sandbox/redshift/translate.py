"""Translates PostgreSQL's errors into Redshift's, where they differ in a way that a client may check."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.redshift.errors import FEATURE_NOT_SUPPORTED, STRING_TOO_LONG

_BYTES_CHECK = re.compile(r"rs_bytes_(\d+)_(\d+)\Z")


def bytes_check(fields: Mapping[str, str]) -> tuple[int, int] | None:
    """(number of the column, its length in bytes) if the error is from a check of a string's bytes, or None."""
    match = _BYTES_CHECK.match(fields.get("n", ""))
    return (int(match.group(1)), int(match.group(2))) if match else None


def translate(fields: Mapping[str, str]) -> dict[str, str]:
    """The error's fields as Redshift sends them."""
    translated = dict(fields)
    code = fields.get("C")
    too_long = bytes_check(fields)
    if too_long is not None:
        translated |= {"C": STRING_TOO_LONG, "M": f"value too long for type character varying({too_long[1]})"}
        translated.pop("D", None)
        translated.pop("n", None)
    elif code == "40001":
        translated |= {"M": "1023", "D": f"Serializable isolation violation on table: {fields.get('M', '')}"}
    elif code == "428C9":
        translated |= {"C": FEATURE_NOT_SUPPORTED, "M": "cannot set an identity column to a value"}
        translated.pop("H", None)
    return translated
