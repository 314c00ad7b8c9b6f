"""The structure that docs/architecture.md promises, held against the code."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("dags", "plugins", "sparkjobs", "sql_templates")
OWN = {"dags", "subdags", "operators", "airflow_lib", "sparkjobs", "sandbox", "tests", "bench"}

# What each package may import of ours, besides itself: dags -> subdags -> operators -> airflow_lib.
MAY_IMPORT = {
    "dags": {"subdags", "airflow_lib"},
    "plugins/subdags": {"operators", "airflow_lib"},
    "plugins/operators": {"airflow_lib"},
    "plugins/airflow_lib": set(),
    "sparkjobs": set(),
}


# What each room of the library may import of it, besides itself (docs/architecture.md). No two import each other.
WORDS = {"bounded_json", "checkout", "errors", "naming", "pipeline", "settings", "settings_model"}
ROOMS = {
    "bounded_json": set(),
    "checkout": set(),
    "errors": {"bounded_json"},
    "naming": set(),
    "pipeline": {"errors"},
    "settings": {"bounded_json", "errors", "pipeline", "settings_model"},
    "settings_model": set(),
    "aws": WORDS,
    "polling": WORDS | {"aws"},
    "resources": WORDS | {"aws"},
    "lifecycle": WORDS | {"aws", "polling", "resources"},
    "prerequisites": WORDS | {"aws", "resources", "lifecycle"},
    "spark": WORDS | {"aws"},
    "warehouse": WORDS | {"aws"},
    "declaration": WORDS | {"spark", "warehouse"},
    "report": WORDS,
    "steps": WORDS
    | {"aws", "polling", "resources", "lifecycle", "prerequisites", "spark", "warehouse", "report"},
    "describe": WORDS | {"steps"},
    "links": WORDS | {"aws", "steps"},
    "janitor": WORDS | {"aws", "polling", "lifecycle"},
    "replay": WORDS | {"aws", "polling", "spark", "declaration", "steps", "janitor"},
    "backfill": WORDS | {"aws", "polling", "lifecycle", "spark", "warehouse", "steps", "janitor", "replay"},
    "doctor": WORDS | {"aws", "polling", "resources", "prerequisites", "janitor"},
}

# Where the tests of each package are: a module x.py has its tests in test_x.py.
TESTS_OF = {
    "plugins/operators": "tests/unit/operators",
    "plugins/subdags": "tests/dags",
    "plugins/airflow_lib": "tests/unit/airflow_lib",
}
DECLARES_ONLY = {"resources/kind"}  # types without behaviour
MODULES = [
    (package, module)
    for package in TESTS_OF
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stem != "__init__"
    and (module := path.relative_to(ROOT / package).with_suffix("").as_posix()) not in DECLARES_ONLY
]


def files(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} holds no Python"
    return found


def imported_names(path):
    """The modules that a file imports, wherever in the file: `from a.b import c` as a.b and a.b.c."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(path):
    """Top-level packages that a file imports."""
    return (name.split(".")[0] for name in imported_names(path))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    allowed = MAY_IMPORT[package] | {package.rsplit("/", 1)[-1]}
    for path in files(package):
        assert set(imported(path)) & OWN <= allowed, path.relative_to(ROOT)


def test_every_room_of_the_library_is_in_the_picture():
    library = ROOT / "plugins/airflow_lib"
    there = {path.stem for path in library.iterdir() if path.stem not in {"__init__", "__pycache__"}}
    assert there == set(ROOMS)
    page = (ROOT / "docs/architecture.md").read_text()
    for room in there:
        assert re.search(rf"`(airflow_lib/)?{room}(/|\.py)`", page), room


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_the_library_import_one_way(room):
    library = ROOT / "plugins/airflow_lib"
    paths = [library / f"{room}.py"] if (library / f"{room}.py").is_file() else (library / room).rglob("*.py")
    for path in paths:
        rooms = {name.split(".")[1] for name in imported_names(path) if name.startswith("airflow_lib.")}
        assert rooms <= ROOMS[room] | {room}, path.relative_to(ROOT)


def test_no_two_rooms_import_each_other():
    done: set[str] = set()
    while len(done) < len(ROOMS):
        ready = {room for room, needs in ROOMS.items() if needs <= done} - done
        assert ready, f"a circle among {set(ROOMS) - done}"
        done |= ready


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_each_module_has_a_test_file_of_its_name(package, module):
    *rooms, name = module.split("/")
    assert ROOT.joinpath(TESTS_OF[package], *rooms, f"test_{name}.py").is_file()


def test_the_library_never_imports_airflow():
    for path in files("plugins/airflow_lib"):
        assert "airflow" not in set(imported(path)), path.relative_to(ROOT)


def test_the_product_never_names_the_sandbox_moto_or_localhost():
    words = re.compile(r"sandbox|moto|localhost|127\.0", re.IGNORECASE)
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in {".py", ".sql"}:
                assert not words.search(path.read_text()), path.relative_to(ROOT)


def test_spark_jobs_keep_to_the_python_of_emr():
    for path in files("sparkjobs"):
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 9))


def test_spark_jobs_run_no_python_per_row():
    for path in files("sparkjobs"):
        assert not re.search(r"\budf\b|pandas_udf|mapInPandas|\.rdd\b", path.read_text()), path.relative_to(
            ROOT
        )


def test_the_interpreter_is_the_one_that_the_lock_was_made_for():
    assert sys.version_info[:2] == (3, 11)


def test_make_test_runs_every_test_once():
    """The Makefile names the folders, so a new one would be left out without a word."""
    recipe = (ROOT / "Makefile").read_text()
    named = re.findall(r"tests/\S+", recipe.split("chaos:")[0])
    for path in (ROOT / "tests").rglob("test_*.py"):
        relative = path.relative_to(ROOT).as_posix()
        folders = [name for name in named if relative.startswith(f"{name}/")]
        assert len(folders) == 1, relative
    files_named = [name for name in named if name.endswith(".py")]
    assert all((ROOT / name).is_file() for name in files_named)
    assert len(set(files_named)) == len(files_named)
    for group in ("MODELS", "AIRFLOW"):  # what one process leaves out, another names
        assert len(re.findall(rf"\$\(PYTEST\) .*\$\({group}\)$", recipe, re.MULTILINE)) == 1
        assert recipe.count(f"--ignore=,$({group})") == 1
