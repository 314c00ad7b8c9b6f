"""The hash of all that a pipeline's tables follow from in the warehouse: its templates, tables, checks, answers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse.sql import ROOT


def hash_sql(pipeline: Pipeline, root: Path = ROOT) -> str:
    """64 hex digits that change with any template of the pipeline, any shared one, and what is declared of its SQL."""
    declared = (pipeline.tables, pipeline.checks, pipeline.answers, pipeline.answers_schema)
    digest = hashlib.sha256(repr(declared).encode())
    for folder in (pipeline.name, "shared"):
        for path in sorted(root.joinpath(folder).rglob("*.sql")):
            digest.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
