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


# Where the tests of each package are: a module x.py has its tests in test_x.py.
TESTS_OF = {"plugins/operators": "tests/unit/operators", "plugins/subdags": "tests/dags"}
MODULES = [
    (package, path.stem)
    for package in TESTS_OF
    for path in (ROOT / package).glob("*.py")
    if path.stem != "__init__"
]


def files(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} holds no Python"
    return found


def imported(path):
    """Top-level packages that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    allowed = MAY_IMPORT[package] | {package.rsplit("/", 1)[-1]}
    for path in files(package):
        assert set(imported(path)) & OWN <= allowed, path.relative_to(ROOT)


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_each_module_has_a_test_file_of_its_name(package, module):
    assert (ROOT / TESTS_OF[package] / f"test_{module}.py").is_file()


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
