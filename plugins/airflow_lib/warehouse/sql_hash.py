"""What a pipeline's tables are made with, as one hash: its SQL, its tables, and its checks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse.sql import ROOT, read_template


def hash_sql(pipeline: Pipeline, root: Path = ROOT) -> str:
    """64 hex digits that change with each change of the create and load templates, the tables and the checks.

    Raises WarehouseError where a template is missing.
    """
    names = [
        *(f"{pipeline.name}/create/{table.name}" for table in pipeline.tables),
        *(f"{pipeline.name}/load/{table.name}" for table in pipeline.warehouse_tables),
    ]
    texts = {name: read_template(name, root=root) for name in names}
    content = [texts, repr(pipeline.tables), repr(pipeline.checks)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
