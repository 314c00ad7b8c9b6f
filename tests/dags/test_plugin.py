"""Airflow finds one plugin in the folder plugins/, and imports nothing else of it twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_LOOK = """
import json, sys
from airflow import plugins_manager
_, middlewares = plugins_manager.get_fastapi_plugins()
plugins, errors = plugins_manager._get_plugins()
twice = [
    name for name, module in sys.modules.items()
    if str(getattr(module, "__file__", "")).startswith(sys.argv[1])
    and name.split(".")[0] not in ("airflow_lib", "operators", "subdags", "mayfly_plugin")
]
print(json.dumps({
    "plugins": sorted(plugin.name for plugin in plugins if plugin.name.startswith("mayfly")),
    "middlewares": [one["middleware"].__module__ for one in middlewares],
    "errors": errors,
    "twice": twice,
    "heavy": [name for name in ("boto3", "sqlglot", "psycopg2") if name in sys.modules],
    "library": "airflow_lib.steps" in sys.modules,
}))
"""


def test_the_plugin_is_found_alone_and_costs_little(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, str(ROOT / "plugins")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert found["plugins"] == ["mayfly"]
    assert found["middlewares"] == ["operators.trigger_requests"]
    assert found["twice"] == []
    assert not found["library"]
