"""Our frozen dataclasses as JSON and back, so that a step can go on in another process.

Only classes below `airflow_lib` are ever created from JSON. Sequences come back as tuples.
A task may be deferred by one version of Mayfly and resumed by the next: a field that the JSON lacks has its default,
and one that this version does not have is ignored.
Each value names its class, because `NotNull` and `Unique`, members of one union, have the same fields. pydantic's
TypeAdapter would need a tag field in every class (docs/adr/0011).
"""

from __future__ import annotations

import importlib
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

_KIND = "__kind__"
_PACKAGE = "airflow_lib."
# What the version before called otherwise: its deferred tasks go on.
_RENAMED = {"airflow_lib.pipeline:OneOf": "airflow_lib.pipeline:Source"}


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
    """What `to_json` was given. Raises ValueError for a class that is not ours, or that lacks a needed field."""
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
    made = object.__new__(cls)
    for field in fields(cls):
        given = from_json(value[field.name]) if field.name in value else _default_of(field, kind)
        object.__setattr__(made, field.name, given)
    if hasattr(
        made, "__post_init__"
    ):  # what is made of the other fields, as a check's name, may be what was lacking
        made.__post_init__()
    return made


def _default_of(field: Field[Any], kind: str) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    raise ValueError(
        f"{kind} was written without its field {field.name!r}, by another version of Mayfly. Clear the task."
    )


def _name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _class(kind: str) -> type[Any]:
    module, _, name = _RENAMED.get(kind, kind).partition(":")
    if not module.startswith(_PACKAGE):
        raise ValueError(f"{kind!r} is not a class of {_PACKAGE}*")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{kind!r} does not exist in this version of Mayfly. Clear the task.") from error
    if not isinstance(cls, type) or not (is_dataclass(cls) or issubclass(cls, Enum)):
        raise ValueError(f"{kind!r} is neither a dataclass nor an enum")
    return cls
