"""The sandbox's errors are one tree, and its picture at the head of `sandbox/errors.py` is that tree."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from sandbox import errors
from sandbox.errors import SandboxError

ROOT = Path(errors.__file__).parent

# moto turns its own exceptions into AWS's answers, so an error that moto is to answer must be one of its classes.
MOTO_BASES = {"ServiceException"}


def classes_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(class, names of its bases) of a source file, nested classes included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            yield node.name, [ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases]


def bases_by_class() -> dict[str, set[str]]:
    """The names of each class's bases; classes with the same name are merged, and no class is its own base."""
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        for name, bases in classes_of(path):
            found.setdefault(name, set()).update(set(bases) - {name})
    return found


BASES = bases_by_class()


def ancestors(name: str) -> set[str]:
    bases = BASES.get(name, set())
    return bases.union(*map(ancestors, bases))


def is_exception(name: str) -> bool:
    built_in = getattr(builtins, name, None)
    return name in MOTO_BASES or (isinstance(built_in, type) and issubclass(built_in, BaseException))


def test_every_exception_class_of_the_sandbox_derives_from_sandbox_error() -> None:
    exceptions = {name for name in BASES if any(map(is_exception, ancestors(name)))}
    assert {"SandboxError", "RedshiftError", "_ConnectionClosed"} <= exceptions
    others = {name for name in exceptions if "SandboxError" not in ancestors(name) | {name}}
    assert {name for name in others if not ancestors(name) & MOTO_BASES} == set()


def test_public_exception_classes_are_defined_in_the_tree_alone() -> None:
    public = {name for name in BASES if "SandboxError" in ancestors(name) and not name.startswith("_")}
    assert public == {name for name, _ in classes_of(ROOT / "errors.py")} - {"SandboxError"}


def test_the_picture_of_the_tree_names_each_class_below_its_base() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:  |$)", line):
            depth = len(match["branch"]) // 4
            path[depth:] = [match["name"]]
            drawn[match["name"]] = path[depth - 1] if depth else "Exception"
    defined = inspect.getmembers(errors, lambda item: inspect.isclass(item) and issubclass(item, Exception))
    assert drawn == {name: item.__base__.__name__ for name, item in defined}


def test_each_error_says_its_message_as_text() -> None:
    assert str(errors.JarsUnavailable("no network")) == errors.JarsUnavailable("no network").message
    assert str(errors.RedshiftError("refused", "0A000")) == "refused"
    assert str(errors.ErrorResponse({"C": "42P01", "M": "no such table"})) == "no such table"
    assert issubclass(errors.KernelDied, SandboxError)
