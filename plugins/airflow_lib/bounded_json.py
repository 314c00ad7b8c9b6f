"""JSON that others wrote, read within bounds; and values of any kind as the JSON and text that Airflow takes.

Registers, manifests, pins, job answers, Variables, the settings file and Livy's answers all come through `load_json`.
What a step answers (`steps.Done`) goes through `as_json`, and every message of ours through `as_text`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn

MAX_JSON_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_TEXT = 20_000  # characters
MAX_ITEMS = 10_000

_MAX_KEY = 200
_MAX_DIGITS = 19
_INT64 = range(-(2**63), 2**63)
_REPLACED = "\N{REPLACEMENT CHARACTER}"
# A lone surrogate can be written in JSON and held by a str, but no encoder takes it.
_NO_CHARACTER = re.compile("[\ud800-\udfff]")
# PostgreSQL's jsonb, which keeps XComs and triggers, refuses \u0000, too:
# https://www.postgresql.org/docs/current/datatype-json.html
_NOT_FOR_POSTGRES = re.compile("[\x00\ud800-\udfff]")


def load_json(
    text: str | bytes, to_error: Callable[[str], Exception], *, max_bytes: int = MAX_JSON_BYTES
) -> Any:
    """The value that `text` is the JSON of; bytes are UTF-8.

    Raises what `to_error` makes of the cause ("not JSON (line 1, column 2: …)", "nested deeper than 64 levels"):
    also where an object has a key twice, or a number is NaN, infinite or an integer of more than 64 bits, none of
    which JSON has or any document of ours needs. The cause holds keys, but no value. Lone surrogates become U+FFFD.
    """
    try:
        if len(text) > max_bytes:
            raise ValueError(f"{len(text)} bytes long, {max_bytes} at most are read")
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_int=_parse_int,
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_as_object,
        )
        return _check(value, MAX_DEPTH)
    except json.JSONDecodeError as error:
        cause = f"not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        raise to_error(cause) from error
    except UnicodeDecodeError as error:
        raise to_error(f"not UTF-8 (byte {error.start}: {error.reason})") from error
    except RecursionError as error:  # of json itself, before `_check` could see the value
        raise to_error(_too_deep()) from error
    except ValueError as error:
        raise to_error(str(error)) from error


def as_json(value: Any, *, max_text: int = MAX_TEXT) -> Any:
    """`value` as JSON that an XCom can be: what JSON or Airflow does not take becomes text, and what is cut says so.

    Times, intervals, bytes, NaN, Infinity and integers of more than 64 bits become text, decimals floats.
    Airflow 3.3 sends an XCom as msgpack (64-bit integers, no lone surrogates), then as JSON (no NaN), and keeps it in
    PostgreSQL (no NUL): `SetXCom` in airflow.sdk.execution_time.comms, `XComOperations.set` in airflow.sdk.api.client.
    """
    return _as_json(value, max_text, MAX_DEPTH)


def as_text(text: str, limit: int = MAX_TEXT) -> str:
    """`text` that can be encoded and stored, of `limit` characters at most; what was cut off is said at its end."""
    if len(text) > limit:
        ending = f"… ({len(text)} characters)"
        text = text[: max(0, limit - len(ending))] + ending
    return _NOT_FOR_POSTGRES.sub(_REPLACED, text)


def _parse_int(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS or int(text) not in _INT64:
        raise ValueError("an integer of more than 64 bits")
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number too large for 64 bits")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {as_text(twice, _MAX_KEY)!r} is there twice")
    return found


def _check(value: Any, depth: int) -> Any:
    """The value with every character one that can be encoded."""
    if isinstance(value, str):
        return _NO_CHARACTER.sub(_REPLACED, value)
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise ValueError(_too_deep())
    if isinstance(value, list):
        return [_check(item, depth - 1) for item in value]
    return {_NO_CHARACTER.sub(_REPLACED, key): _check(item, depth - 1) for key, item in value.items()}


def _too_deep() -> str:
    return f"nested deeper than {MAX_DEPTH} levels"


def _as_json(value: Any, max_text: int, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case Enum():
            return _as_json(value.value, max_text, depth)
        case int() | float() | Decimal():
            return _as_number(value)
        case Mapping() | list() | tuple() | set() | frozenset():
            return _as_container(value, max_text, depth)
    return as_text(_format(value, max_text), max_text)


def _format(value: Any, max_text: int) -> str:
    match value:
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value[:max_text]).hex()
    return str(value)


def _as_container(value: Any, max_text: int, depth: int) -> Any:
    if depth == 0:
        return "… (nested too deep)"
    if isinstance(value, Mapping):
        return _as_json_object(value, max_text, depth)
    return _as_json_list(value, max_text, depth)


def _as_json_object(value: Mapping[Any, Any], max_text: int, depth: int) -> dict[str, Any]:
    made = {}
    for number, (key, item) in enumerate(value.items()):
        if number == MAX_ITEMS:
            made["…"] = f"{len(value) - MAX_ITEMS} more"
            break
        made[_as_key(key)] = _as_json(item, max_text, depth - 1)
    return made


def _as_json_list(value: Iterable[Any], max_text: int, depth: int) -> list[Any]:
    items = list(value)
    made = [_as_json(item, max_text, depth - 1) for item in items[:MAX_ITEMS]]
    if len(items) > MAX_ITEMS:
        made.append(f"… {len(items) - MAX_ITEMS} more")
    return made


def _as_key(key: Any) -> str:
    """The key as text. Airflow's serde keeps `__classname__` and `__id__` for itself, and our own keeps `__kind__`."""
    text = as_text(str(_as_number(key) if isinstance(key, int) else key), _MAX_KEY)
    return f"'{text}'" if text.startswith("__") else text


def _as_number(value: float | Decimal) -> float | str:
    if isinstance(value, int):
        return value if value in _INT64 else _format_int(value)
    exact = Decimal(value)
    if exact.is_nan():
        return "NaN"
    if exact.is_infinite():
        return "Infinity" if exact > 0 else "-Infinity"
    number = float(value)
    return number if math.isfinite(number) else as_text(str(value))


def _format_int(value: int) -> str:
    """Python writes no integer of more than 4,300 digits in decimal."""
    bits = value.bit_length()
    return str(value) if bits <= 1024 else f"an integer of {bits} bits"
