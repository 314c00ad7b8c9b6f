"""The package for Amazon MWAA: built by its command, unpacked as MWAA does, and imported as Airflow does."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from subdags.deployment import SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "deploy" / "mwaa" / "build.py"

# What a process of Airflow sees there, told as JSON: its DAGs, its plugins, and where Mayfly finds its folders.
LOOK = """
import json, sys
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from airflow_lib.declaration.templates import template_mistakes
from airflow_lib.prerequisites.permissions import POLICY_FILE
from airflow_lib.spark.shipping import SPARKJOBS, build_zip, list_pipelines
from airflow_lib.warehouse.sql import ROOT

bag = DagBag(dag_folder=sys.argv[1])
plugins_manager.ensure_plugins_loaded() if hasattr(plugins_manager, "ensure_plugins_loaded") else None
print(json.dumps({
    "errors": bag.import_errors,
    "dags": {name: len(dag.tasks) for name, dag in bag.dags.items()},
    "plugin_errors": plugins_manager.get_import_errors(),
    "folders": [str(SPARKJOBS), str(ROOT), str(POLICY_FILE)],
    "zip": len(build_zip()[0]),
    "pipelines": list_pipelines(),
    "policy": POLICY_FILE.exists(),
}))
"""


def build(folder: Path) -> None:
    subprocess.run([sys.executable, str(BUILD), str(folder)], check=True)


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/usr/local/airflow of MWAA's containers."""
    built, home = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("usr-local-airflow")
    build(built)
    (built / "dags").rename(home / "dags")
    with zipfile.ZipFile(built / "plugins.zip") as archive:
        archive.extractall(home / "plugins")
    return home


@pytest.fixture(scope="module")
def seen(airflow_home: Path) -> dict[str, Any]:
    environment = {
        "PATH": os.defpath,
        "HOME": str(airflow_home),
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # The plugins folder is on sys.path, as every process of Airflow puts it there.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import airflow.settings as s; s.initialize()\n" + LOOK,
            str(airflow_home / "dags"),
        ],
        env=environment,
        cwd=airflow_home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_every_dag_is_imported_without_an_error(seen: dict[str, Any]) -> None:
    assert seen["errors"] == {}
    assert set(seen["dags"]) == {"immigration", "janitor"}
    assert seen["dags"]["immigration"] > 20


def test_airflow_finds_no_plugin_that_it_cannot_import(seen: dict[str, Any]) -> None:
    assert seen["plugin_errors"] == {}


def test_jobs_templates_and_policy_are_found_in_the_plugins_folder(
    seen: dict[str, Any], airflow_home: Path
) -> None:
    names = ("sparkjobs", "sql_templates", "docs/iam-principal-policy.json")
    assert seen["folders"] == [str((airflow_home / "plugins").resolve() / name) for name in names]
    assert seen["policy"]
    assert seen["pipelines"] == ["immigration"]
    assert seen["zip"] > 10_000


def test_the_package_holds_what_the_checkout_does_and_nothing_compiled(airflow_home: Path) -> None:
    for name in ("sparkjobs", "sql_templates"):
        expected = {
            path.relative_to(ROOT) for path in (ROOT / name).rglob("*.*") if "__pycache__" not in path.parts
        }
        packed = airflow_home / "plugins"
        found = {
            path.relative_to(packed)
            for path in (packed / name).rglob("*.*")
            if "__pycache__" not in path.parts
        }
        assert found == expected


def test_the_same_checkout_makes_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "one")
    build(tmp_path / "two")
    assert (tmp_path / "one/plugins.zip").read_bytes() == (tmp_path / "two/plugins.zip").read_bytes()
    assert not [
        name for name in zipfile.ZipFile(tmp_path / "one/plugins.zip").namelist() if name.endswith(".pyc")
    ]


def test_a_package_that_is_built_again_has_no_dag_of_before(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "dags/gone.py").write_text("")
    build(tmp_path)
    assert not (tmp_path / "dags/gone.py").exists()


def test_the_requirements_name_every_package_that_the_code_imports() -> None:
    lines = (ROOT / "deploy/mwaa/requirements.txt").read_text().splitlines()
    named = {line for line in lines if line and not line.startswith(("#", "-"))}
    assert any(line.startswith("--constraint ") for line in lines)
    in_the_image = {"airflow", "psycopg2", "pendulum"}  # pendulum is Airflow's own
    own = {path.name for path in (ROOT / "plugins").iterdir()} | {"sparkjobs", "dags"}
    package_of = {
        "botocore": "boto3",
        "markupsafe": "jinja2",
        "openlineage": "apache-airflow-providers-openlineage",
        "pydantic_core": "pydantic",
        "annotated_types": "pydantic",
    }
    for path in [*(ROOT / "dags").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        for module in imported_at_run_time(ast.parse(path.read_text())):
            top = module.split(".")[0]
            if top in {*sys.stdlib_module_names, *in_the_image, *own}:
                continue
            assert package_of.get(top, top) in named, f"{path} imports {module}"


def imported_at_run_time(node: ast.AST) -> list[str]:
    """The modules that a file imports, without those of `if TYPE_CHECKING`."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    return [name for child in ast.iter_child_nodes(node) for name in imported_at_run_time(child)]


def test_the_startup_script_exports_the_schedules_where_there_are_some(tmp_path: Path) -> None:
    script = (ROOT / "deploy/mwaa/startup.sh").read_text().replace("/usr/local/airflow", str(tmp_path))
    (variable,) = re.findall(r"export (\w+)=", script)
    assert variable == SCHEDULES
    (tmp_path / "dags").mkdir()

    def told() -> str:
        command = f"{script}\necho ${{{variable}-none}}"
        return subprocess.run(
            ["sh", "-euc", command], env={}, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert told() == "none"
    (tmp_path / "dags/schedules.json").write_text("{}")
    assert told() == str(tmp_path / "dags/schedules.json")
