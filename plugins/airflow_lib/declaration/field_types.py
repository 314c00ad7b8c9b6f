"""Whether each field of a declaration has the type that its class gives it: Python itself does not look.

Text where a tuple is expected would be taken letter by letter, and a severity that is text never equals
`Severity.WARN`. The types are the annotations of `airflow_lib.pipeline`, read by pydantic in its strict mode, in which
no value is converted: https://docs.pydantic.dev/latest/concepts/strict_mode/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from airflow_lib.bounded_json import as_text
from airflow_lib.pipeline import Pipeline

_MAX_SHOWN = 120


def type_mistakes(declared: object) -> Iterator[str]:
    """The fields of a pipeline, and of all that it is declared of, that have another type than their class says."""
    if isinstance(declared, Pipeline):
        yield from _mistakes(declared, "")
    else:
        yield f"{_show(declared)} is no Pipeline: pass one"


def _mistakes(declared: Any, where: str) -> Iterator[str]:
    """`where` is how the mistake's place begins: the declared object that holds this one, as its author wrote it."""
    wrong = _wrong_fields(declared)
    for field in fields(declared):
        value = getattr(declared, field.name)
        if field.name in wrong:
            hint = _hint(value, wrong[field.name])
            yield f"{where}{field.name} is {_show(value)}, but {field.type} is expected{hint}"
        for item in value if isinstance(value, tuple | list) else (value,):
            if is_dataclass(item) and not isinstance(item, type):
                yield from _mistakes(item, f"{where}{_label(item)}: ")


def _wrong_fields(declared: Any) -> dict[str, Any]:
    """The names of the fields of a wrong type, with the type that is expected."""
    try:
        _model_of(declared.__class__).model_validate(vars(declared))
    except ValidationError as error:
        hints = get_type_hints(type(declared))
        return {str(item["loc"][0]): hints[str(item["loc"][0])] for item in error.errors(include_url=False)}
    return {}


@cache
def _model_of(kind: type[Any]) -> type[BaseModel]:
    """The fields of a dataclass as a model, which takes each value as it is or refuses it."""
    shape: dict[str, Any] = {name: (hint, ...) for name, hint in get_type_hints(kind).items()}
    return create_model(kind.__name__, __config__=ConfigDict(strict=True), **shape)


def _hint(value: object, expected: Any) -> str:
    if isinstance(expected, type) and issubclass(expected, Enum):
        return f": write one of {', '.join(str(f'{expected.__name__}.{one.name}') for one in expected)}"
    if isinstance(value, str) and getattr(expected, "__origin__", None) is tuple:
        return f": a tuple of one value is written with a comma, ({_show(value)},)"
    if isinstance(value, list):
        return ": write it in parentheses, as a tuple"
    return ""


def _label(declared: Any) -> str:
    """As `NotNull('dimTourist', …)`: what the author would look for."""
    kind = type(declared).__name__
    first = next(iter(fields(declared)), None)
    return f"{kind}({_show(getattr(declared, first.name))}, …)" if first else f"{kind}()"


def _show(value: object) -> str:
    return as_text(repr(value), _MAX_SHOWN)
