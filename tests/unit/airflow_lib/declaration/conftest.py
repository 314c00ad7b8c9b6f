"""The files of the small pipeline, for tests to spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.airflow_lib.declaration.birds import Files, write_birds


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_birds(tmp_path)
