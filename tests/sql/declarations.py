"""The pipelines that `dags/*.py` declare, without Airflow: `build_dag` does nothing here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from airflow_lib.pipeline import Pipeline

DAGS = Path(__file__).resolve().parents[2] / "dags"


def declared_pipelines() -> list[Pipeline]:
    """Every Pipeline of every DAG file, in the order of the files' names."""
    subdags = ModuleType("subdags")
    subdags.build_dag = lambda pipeline: None  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"subdags": subdags}):
        modules = [_load(path) for path in sorted(DAGS.glob("*.py")) if "build_dag(" in path.read_text()]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Pipeline)]


def declared_pipeline(name: str) -> Pipeline:
    return next(pipeline for pipeline in declared_pipelines() if pipeline.name == name)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"declared_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
