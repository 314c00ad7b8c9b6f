"""The error tree: as its docstring draws it, in one module, and whole after pickling."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re

import pytest

import airflow_lib
from airflow_lib import errors
from airflow_lib.bounded_json import MAX_TEXT
from airflow_lib.errors import MayflyError

_LINE = re.compile(r"^    (?P<lead>(?:│   |    )*)[├└]── (?P<name>\w+) +(?P<meaning>\S.*)$", re.MULTILINE)


def drawn_parents() -> dict[str, str]:
    """Each class that the docstring draws, with the class it hangs below."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    branch = ["MayflyError"]
    for line in _LINE.finditer(errors.__doc__):
        depth = 1 + len(line["lead"]) // 4
        parents[line["name"]] = branch[depth - 1]
        branch[depth:] = [line["name"]]
    return parents


def descendants(kind: type[MayflyError]) -> list[type[MayflyError]]:
    return [found for child in kind.__subclasses__() for found in (child, *descendants(child))]


def product_errors() -> list[type[MayflyError]]:
    """Every error class of the library, from whichever of its modules."""
    for module in pkgutil.walk_packages(airflow_lib.__path__, "airflow_lib."):
        importlib.import_module(module.name)
    return [kind for kind in descendants(MayflyError) if kind.__module__.startswith("airflow_lib.")]


ERRORS = [MayflyError, *product_errors()]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    found = {kind.__name__: kind.__bases__[0].__name__ for kind in ERRORS if kind is not MayflyError}
    assert drawn_parents() == found


def test_no_other_module_defines_an_error_of_its_own() -> None:
    assert {kind.__module__ for kind in ERRORS} == {"airflow_lib.errors"}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_its_message(kind: type[MayflyError]) -> None:
    """Airflow pickles what a task raises, and hands it to another process."""
    restored = pickle.loads(pickle.dumps(kind("what is wrong, and what to do")))
    assert type(restored) is kind
    assert (str(restored), restored.message) == ("what is wrong, and what to do",) * 2


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_found_again_by_its_name(kind: type[MayflyError]) -> None:
    """A trigger reports an error to its task by class name and message (operators/step.py)."""
    assert getattr(errors, kind.__name__) is kind


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_means(kind: type[MayflyError]) -> None:
    assert kind.__doc__


def test_a_message_is_cut_and_can_be_encoded_whatever_it_quotes() -> None:
    error = MayflyError("Livy answered \ud800\x00" + "x" * 10**6)
    assert error.message.startswith("Livy answered \ufffd\ufffdxxx")
    assert error.message.endswith("… (1000016 characters)")
    assert len(error.message) == MAX_TEXT
    assert str(error) == error.message


@pytest.mark.parametrize(
    ("name", "known", "ending"),
    [
        ("dimbird", ["dimNest", "dimBird"], "; did you mean 'dimBird'?"),
        ("factSighting", ["dimBird", "staging_sightings"], ""),
        ("x", [], ""),
    ],
)
def test_an_unknown_name_is_told_with_the_known_one_that_looks_like_it(
    name: str, known: list[str], ending: str
) -> None:
    assert errors.did_you_mean(name, known) == ending
