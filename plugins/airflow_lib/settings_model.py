"""What every model of the settings is based on, and what is told of JSON that is not such a model.

A value's type is taken strictly: true is no number, and neither is "3". A mistake is named by its key's path, and an
unknown key by the one that was probably meant. What the keys are is in `settings`.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

_LISTED = 50  # mistakes of one Variable; more than a person makes, and more than anyone reads
_MAX_KEY = 64  # characters of a key that are shown; our own are shorter
_MISTYPED = {
    "int_type": ("a whole number is expected", "write one such as 3, without quotes"),
    "float_type": ("a number is expected", "write one such as 0.5, without quotes"),
    "bool_type": ("true or false is expected", "write it without quotes"),
    "string_type": ("text is expected", "write it in double quotes"),
    "list_type": ("a list is expected", "write [value, …]"),
    "dict_type": ("a JSON object is expected", 'write {"key": value, …}'),
    "model_type": ("a JSON object is expected", 'write {"key": value, …}'),
}
_FOUND = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a decimal number",
    str: "text",
    list: "a list",
    dict: "an object",
}

Path = tuple[str, ...]


class SettingsModel(BaseModel):
    """Keys and values as JSON has them, none but the declared ones, each of the very type that is declared."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, str_max_length=4096, allow_inf_nan=False
    )


_M = TypeVar("_M", bound=SettingsModel)


def validate(model: type[_M], value: object, variable: str, mistakes: list[str], at: Path = ()) -> _M | None:
    """The model of `value`, or None where it is not one: each mistake then goes to `mistakes`.

    `at` is where in the Variable the value stands. A mistake holds keys and types, and of the values only those that
    the models' own validators quote, so that no secret is shown.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        for item in found[:_LISTED]:
            key = format_key(*at, *(str(part) for part in item["loc"]))
            mistakes.append(f"{variable}: {key + ': ' if key else ''}{_format_mistake(model, item, at)}")
        if len(found) > _LISTED:
            mistakes.append(f"{variable}: {len(found) - _LISTED} further mistakes; correct these first")
        return None


def format_key(*path: str) -> str:
    """The path of a key as the documentation writes it: `emr.core_count`."""
    return ".".join(_shown(part) for part in path)


def _shown(key: str) -> str:
    """A key as one short line, whoever wrote it."""
    short = key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}…"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)


def describe(value: object) -> str:
    """What kind of JSON a value is, and nothing of the value."""
    return _FOUND.get(type(value), f"a {type(value).__name__}")


def _format_mistake(model: type[SettingsModel], item: ErrorDetails, at: Path) -> str:
    """Pydantic's message for one key, in our words where its own do not say what to do."""
    kind = item["type"]
    if kind == "extra_forbidden":
        meant = _meant(model, tuple(str(part) for part in item["loc"]))
        which = (
            f"did you mean {' or '.join(format_key(*at, *path) for path in meant)}?" if meant else "remove it"
        )
        return f"no such key; {which} (setup_backend.md lists the keys)"
    if kind == "missing":
        return "missing; set it (setup_backend.md says to what)"
    if kind in _MISTYPED:
        expected, remedy = _MISTYPED[kind]
        return f"{expected}, {describe(item['input'])} was found; {remedy}"
    return item["msg"].removeprefix("Value error, ")


def _meant(model: type[SettingsModel], path: Path) -> list[Path]:
    """The keys that were probably meant by an unknown one: of the same name elsewhere, else of the nearest spelling.

    Those of the same object come first, then those below it, then all others.
    """
    named = [part for part in path if not part.isdigit()]  # the objects of a list have the same keys
    if not named or len(named[-1]) > _MAX_KEY:
        return []
    *parents, key = named
    keys = list(_keys_of(model))
    beside = [one for one in keys if one[:-1] == tuple(parents)]
    below = [one for one in keys if one[: len(parents)] == tuple(parents)]
    for cutoff in (1.0, 0.6):
        for group in (beside, below, keys):
            near = get_close_matches(key, {one[-1] for one in group}, n=1, cutoff=cutoff)
            if near:
                return [one for one in group if one[-1] == near[0]]
    return []


def _keys_of(model: type[BaseModel], at: Path = ()) -> Iterator[Path]:
    for field_name, field in model.model_fields.items():
        name = field.alias or field_name
        yield (*at, name)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys_of(kind, (*at, name))
