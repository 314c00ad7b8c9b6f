"""Our frozen dataclasses as JSON and back, so that a step can go on in another process.

Only classes below `airflow_lib` are ever made from JSON. Sequences come back as tuples.
"""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

_KIND = "__kind__"
_PACKAGE = "airflow_lib."


def to_json(value: Any) -> Any:
    """`value` as JSON: dataclasses and enums of ours, dates, sequences, mappings and plain values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {_KIND: _name(value), **{f.name: to_json(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Enum):
        return {_KIND: _name(value), "value": value.value}
    if isinstance(value, datetime):
        return {_KIND: "datetime", "value": value.isoformat()}
    if isinstance(value, date):
        return {_KIND: "date", "value": value.isoformat()}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """What `to_json` was given. Raises ValueError for a class that is not ours."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind is None:
        return {key: from_json(item) for key, item in value.items()}
    if kind == "datetime":
        return datetime.fromisoformat(value["value"])
    if kind == "date":
        return date.fromisoformat(value["value"])
    cls = _class(kind)
    if issubclass(cls, Enum):
        return cls(value["value"])
    made = object.__new__(cls)  # it was validated when it was first made
    for field in fields(cls):
        object.__setattr__(made, field.name, from_json(value[field.name]))
    return made


def _name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _class(kind: str) -> type[Any]:
    module, _, name = kind.partition(":")
    if not module.startswith(_PACKAGE):
        raise ValueError(f"{kind!r} is not a class of {_PACKAGE}*")
    cls = getattr(importlib.import_module(module), name)
    if not isinstance(cls, type) or not (is_dataclass(cls) or issubclass(cls, Enum)):
        raise ValueError(f"{kind!r} is neither a dataclass nor an enum")
    return cls
