"""The pipelines that the DAG files declare, without Airflow: `build_dag` does nothing here but take them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from airflow_lib.pipeline import Pipeline

DAGS = Path(__file__).resolve().parents[2] / "dags"


def declared_pipelines(dags: Path = DAGS) -> list[Pipeline]:
    """Every Pipeline that a DAG file in `dags` or below makes a DAG of, in the order of the files' names."""
    found: list[Pipeline] = []
    subdags = ModuleType("subdags")
    subdags.build_dag = found.append  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"subdags": subdags}):
        for path in sorted(dags.rglob("*.py")):
            if "build_dag(" in path.read_text():
                _execute(path)
    return found


def declared_pipeline(name: str) -> Pipeline:
    return next(pipeline for pipeline in declared_pipelines() if pipeline.name == name)


def _execute(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(f"declared_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
