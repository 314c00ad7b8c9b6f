"""PostgreSQL's errors in Redshift's words, where they differ and a client may look."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.redshift.errors import FEATURE_NOT_SUPPORTED, STRING_TOO_LONG

_BYTES_CHECK = re.compile(r"rs_bytes_(\d+)_(\d+)\Z")


def bytes_check(fields: Mapping[str, str]) -> tuple[int, int] | None:
    """The column's number and its length in bytes, where an error is of the check of bytes."""
    match = _BYTES_CHECK.match(fields.get("n", ""))
    return (int(match.group(1)), int(match.group(2))) if match else None


def translate(fields: Mapping[str, str]) -> dict[str, str]:
    """The error's fields as Redshift would send them."""
    told = dict(fields)
    code = fields.get("C")
    too_long = bytes_check(fields)
    if too_long is not None:
        told |= {"C": STRING_TOO_LONG, "M": f"value too long for type character varying({too_long[1]})"}
        told.pop("D", None)
        told.pop("n", None)
    elif code == "40001":
        told |= {"M": "1023", "D": f"Serializable isolation violation on table: {fields.get('M', '')}"}
    elif code == "428C9":
        told |= {"C": FEATURE_NOT_SUPPORTED, "M": "cannot set an identity column to a value"}
        told.pop("H", None)
    return told
